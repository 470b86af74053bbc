"""How many rows the embedding table of a new model gets."""

import dataclasses

import pytest
from tiny import CONFIG

from jaxprompt.models.t5.model import T5

OPEN = dataclasses.replace(CONFIG, vocab_rows=0)


@pytest.mark.parametrize(
    ("size", "rows"), [(1, 128), (128, 128), (4096, 4096), (32100, 32128)]
)
def test_rows_are_as_many_as_the_vocabulary_needs(size, rows):
    assert OPEN.for_vocabulary(size) == dataclasses.replace(CONFIG, vocab_rows=rows)


def test_rows_that_are_given_stay():
    assert CONFIG.for_vocabulary(60) == CONFIG


def test_too_few_rows_are_an_error():
    with pytest.raises(ValueError, match="vocab_rows 64 < 65 ids of the vocabulary"):
        CONFIG.for_vocabulary(65)
    with pytest.raises(ValueError, match="T5Config of 0 vocab_rows: set its"):
        T5(OPEN)
    with pytest.raises(ValueError, match="vocab_rows -1 is no positive integer"):
        dataclasses.replace(CONFIG, vocab_rows=-1)
