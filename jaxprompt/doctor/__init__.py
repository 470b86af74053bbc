"""Checks of a frozen model, a prompt and a task: each a verdict, a number, in words."""
