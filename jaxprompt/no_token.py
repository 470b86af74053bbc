"""What stands in ids where no token is."""

NO_TOKEN = -1
"""Behind the last token of label words and answers: no vocabulary has a negative id."""
