"""One frozen model that answers behind many prompts, by HTTP."""
