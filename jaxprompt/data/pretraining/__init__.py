"""Passages of text -> examples to pre-train on, and a vocabulary of them."""
