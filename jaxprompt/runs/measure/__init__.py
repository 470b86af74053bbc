"""What a run measures, and the table of it."""
