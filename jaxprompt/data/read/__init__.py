"""Files of users and benchmarks -> rows, each checked, with its place in the file."""
