"""Checkpoint formats: how each names the weights, with exact cover or an error."""
