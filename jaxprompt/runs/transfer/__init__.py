"""What a user asks about transfer: similarity of prompts, and what it predicts."""
