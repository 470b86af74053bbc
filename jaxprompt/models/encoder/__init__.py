"""Encoder-only models of any family: what differs between families is data."""
