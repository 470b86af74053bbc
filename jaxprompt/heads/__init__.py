"""What turns a model's states into answers, and what these lose."""
