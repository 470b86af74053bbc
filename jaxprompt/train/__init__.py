"""Learning: the loss, the optimizer and its mask, the step, checkpoints, the loop."""
