"""A run's configuration -> a loaded model and checked tasks."""
