"""Raw files -> Batch; the only room that uses seqio, t5 and TensorFlow."""
