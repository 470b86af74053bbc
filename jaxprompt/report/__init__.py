"""What people read: tables, and the words that a prompt is near."""
