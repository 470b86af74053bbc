"""Behind `cli`: the flags, gin files, and what each command asks of runs/."""
