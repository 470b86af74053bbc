"""Rows -> examples of text to text, and what their answers are worth."""
