"""SmolLM2-135M-Instruct from its GGUF file, where SMOLLM2_GGUF names it."""

import os

import jax
import numpy as np
import pytest

from jaxprompt.data.rows.layout import Layout, Lengths
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.decode import greedy
from jaxprompt.models.load import load
from jaxprompt.prompts.prompt import empty_prompt

PLACE = os.environ.get("SMOLLM2_GGUF")
pytestmark = pytest.mark.skipif(
    PLACE is None, reason="SMOLLM2_GGUF does not name SmolLM2-135M-Instruct as GGUF"
)


# Source: published ids of the model's own tokenizer.
GOLDEN = {
    "Hello, we can use": (19556, 28, 392, 416, 722),
    "The capital of France is": (504, 3575, 282, 4649, 314),
    "Hello world! 123": (19556, 905, 17, 216, 33, 34, 35),
    "Café déjà vu.": (51, 1939, 2756, 32564, 90, 16739, 386, 101, 30),
    "  multiple   spaces": (216, 2701, 256, 5600),
    "\n": (198,),
}


def test_it_reads_text_as_its_own_tokenizer_does():
    vocabulary = load_vocabulary(str(PLACE), causal=True)
    assert vocabulary.vocab_size == 49_152
    for text, ids in GOLDEN.items():
        assert vocabulary.encode(text) == list(ids)
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_it_knows_the_capital_of_france():
    backbone, model = load(str(PLACE))
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == 134_515_008
    vocabulary = load_vocabulary(str(PLACE), causal=True)
    ids = np.array(vocabulary.encode("The capital of France is"), np.int32)
    layout = Layout(Lengths(8, 6), np.zeros(0, np.int32), True, vocabulary.eos_id)
    batch = layout.padded([Pair(ids, ids[:0])])
    params = {"model": model, "prompt": empty_prompt(backbone.width)}
    answer = greedy(backbone, params, batch, length=6, end=vocabulary.eos_id)
    assert vocabulary.decode(np.asarray(answer)[0]).startswith(" Paris")
