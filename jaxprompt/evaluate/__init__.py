"""From a prompt to a score: decoding, ranking the verbalizers, scoring a split."""
