"""A text that leaves nothing to read is refused, not scored."""

import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.own import file_task
from jaxprompt.serve.texts import Headed


def test_an_empty_text_without_soft_tokens_is_refused():
    task = file_task(
        "own",
        files={},
        inputs="{text}",
        target="label",
        labels={"0": "no", "1": "yes"},
        vocabulary=byte_vocabulary(causal=True),
    ).put_to("classes")
    layout = Headed(task, Lengths(8, 1), np.zeros(0, np.int32))
    assert layout.lay("ab", "input").kept == 2
    with pytest.raises(ValueError, match="input is empty, and nothing stands around"):
        layout.lay("", "input")
