"""The benchmarks' tasks, as seqio and t5 have them; all that needs TensorFlow."""
