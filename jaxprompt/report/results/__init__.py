"""The results of many runs: rows, tables, votes, plots."""
