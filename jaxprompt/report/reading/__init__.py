"""What soft tokens are near, and how far they have moved."""
