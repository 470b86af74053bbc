"""Soft tokens are ids behind the vocabulary."""

import numpy as np
import pytest

from jaxprompt.prompts.soft_ids import prefix


def test_each_member_owns_the_ids_behind_those_before_it():
    np.testing.assert_array_equal(prefix(64, 3), [64, 65, 66])
    np.testing.assert_array_equal(prefix(64, 3, member=2), [70, 71, 72])
    assert prefix(64, 3).dtype == np.int32


def test_no_prompt_has_no_ids():
    assert prefix(64, 0).shape == (0,)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="prompt length -1, member 0"):
        prefix(64, -1)
    with pytest.raises(ValueError, match="prompt length 3, member -2"):
        prefix(64, 3, member=-2)
