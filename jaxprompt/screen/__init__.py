"""What a user sees and types while a command runs."""
