"""Which prompt helps which task: similarity, retrieval, and how both are judged."""
