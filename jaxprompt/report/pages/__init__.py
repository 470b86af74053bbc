"""Pages and cards: a run, a bank, many runs, a prompt, a model."""
