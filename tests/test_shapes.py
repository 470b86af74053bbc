"""The batch that plain Python makes of padded ids."""

import numpy as np

from jaxprompt.no_token import NO_TOKEN
from jaxprompt.shapes import unpacked_batch


def test_a_batch_of_one_example_a_row_shifts_targets_and_masks_padding():
    batch = unpacked_batch(
        np.array([[70, 5, 1], [71, 1, NO_TOKEN]]), np.array([[4, 1], [1, NO_TOKEN]])
    )
    assert batch.inputs.tolist() == [[70, 5, 1], [71, 1, 0]]
    assert batch.input_segments.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.target_inputs.tolist() == [[0, 4], [0, 1]]
    assert batch.target_segments.tolist() == [[1, 1], [1, 0]]
    assert batch.weights.tolist() == [[1.0, 1.0], [1.0, 0.0]]
    assert batch.members.tolist() == [0, 0]
    assert batch.inputs.dtype == batch.targets.dtype == np.int32
    assert batch.weights.dtype == np.float32
