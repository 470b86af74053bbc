"""The names of the ways to predict."""

METHODS = ("greedy", "beam", "nucleus", "rank")
