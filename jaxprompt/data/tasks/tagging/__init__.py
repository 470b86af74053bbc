"""Tags of words: sequence labelling, semantic roles, spans and their scores."""
