"""seqio, t5 and TensorFlow: only this file imports them, for the others of its room.

So TensorFlow starts in one way, behind Triton and quietly, whichever file is first.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from jaxprompt.data.official.light_imports import light_imports
from jaxprompt.startup import NotInstalled, load_triton


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's page of start-up notes off the screen, unless it fails.

    Its C++ logger writes to the file descriptor before any log level is read.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        screen = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except Exception:
            notes.seek(0)
            os.write(screen, notes.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


load_triton()

try:
    with _quiet_start(), light_imports():
        import seqio
        import t5.data.glue_utils as t5_glue
        import t5.data.postprocessors as t5_postprocessors
        import t5.data.preprocessors as t5_preprocessors
        import t5.evaluation.metrics as t5_metrics
        import tensorflow as tf
        import tensorflow_datasets.text.glue as tfds_glue
        import tensorflow_datasets.text.super_glue as tfds_super_glue
except ModuleNotFoundError as err:
    raise NotInstalled(
        f"official tasks and denoising need {err.name}, which is not installed: "
        "pip install 'jaxprompt[official]'"
    ) from err

# TensorFlow only reads files here: the accelerator's memory belongs to JAX.
tf.config.set_visible_devices([], "GPU")

__all__ = [
    "seqio",
    "t5_glue",
    "t5_metrics",
    "t5_postprocessors",
    "t5_preprocessors",
    "tf",
    "tfds_glue",
    "tfds_super_glue",
]
