"""T5: an encoder and a decoder, with relative position biases."""
