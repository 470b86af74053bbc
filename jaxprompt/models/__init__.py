"""Frozen backbones: embedded tokens to logits."""
