"""Raw files -> Batch, in NumPy; only official/ imports seqio, t5 and TensorFlow."""
