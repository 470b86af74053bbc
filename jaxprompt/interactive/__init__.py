"""What a Python program uses: a model that answers, and `tune` on rows in memory."""
