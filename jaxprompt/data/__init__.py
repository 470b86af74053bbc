"""Raw files -> Batch; the only room that imports seqio, t5 and TensorFlow."""

import os

# Read by TensorFlow when it loads. JAX, imported earlier, has set 1, which lets through
# a page of start-up notes; any other value is the user's.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import tensorflow as tf

# TensorFlow only reads files here: the accelerator's memory belongs to JAX.
tf.config.set_visible_devices([], "GPU")
