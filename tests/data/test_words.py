"""Only pieces of text count as words: not controls, sentinels or rows behind them."""

import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.data.vocabulary.words import word_rows


def test_controls_sentinels_and_rows_behind_are_no_words():
    vocabulary = load_vocabulary(resolve("bundled:nano"))
    found = word_rows(vocabulary, 6200)
    assert found.shape == (6200,)
    assert np.flatnonzero(~found).tolist() == [0, 1, 2, *range(6000, 6200)]
    assert found[vocabulary.encode("good")].all()
    # A table may also end before its vocabulary does.
    assert word_rows(vocabulary, 5).tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("file", ["spiece.model", "tokenizer.json"])
def test_the_same_rows_of_t5_are_words_in_either_format(shared, file):
    """A tokenizer.json has the sentinels among its pieces."""
    vocabulary = load_vocabulary(shared / "data" / "vocab" / "t5" / file)
    found = word_rows(vocabulary, 32128)
    assert np.flatnonzero(~found).tolist() == [0, 1, 2, *range(32000, 32128)]
