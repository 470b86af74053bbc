"""The grammars and word lists of the bundled mini tasks."""
