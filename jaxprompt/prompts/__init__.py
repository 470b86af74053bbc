"""The trainable pytree: what a prompt is, how it starts, where it stands, its file."""
