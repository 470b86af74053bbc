"""Other programs' prompt files: one file for each form."""
