"""Examples -> batches in NumPy: cut, behind soft ids, shuffled, padded or packed."""
