"""How plots look, and the curves of a run."""
