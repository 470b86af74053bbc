"""Soft tokens are ids behind the vocabulary."""

import numpy as np
import pytest

from jaxprompt.prompts.soft_ids import prefix


def test_they_follow_on_the_vocabulary():
    np.testing.assert_array_equal(prefix(64, 3), [64, 65, 66])
    assert prefix(64, 3).dtype == np.int32


def test_no_prompt_has_no_ids():
    assert prefix(64, 0).shape == (0,)


def test_a_negative_length_is_refused():
    with pytest.raises(ValueError, match="prompt length -1: it must be 0 or more"):
        prefix(64, -1)
