"""Text <-> ids, as a model's own tokenizer has them."""
