"""Slots for answers: what fills them, steps them, and reads what they write."""
