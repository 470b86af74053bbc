"""States of rows that are computed once: found by a row's own ids, in any batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG, draw_examples, make_tiny, one_each, to_batch

from jaxprompt.prompts.join import prompted_logits, prompted_lower
from jaxprompt.prompts.prompt import make_deep, make_prompt, stack
from jaxprompt.shapes import resize
from jaxprompt.train.kept_states import keep_states, place_rows

TINY = make_tiny(dataclasses.replace(CONFIG, decoder_layers=2))
ROWS = draw_examples(0, 7, length=0)
DIFFERENT = [*ROWS, ROWS[2], ROWS[0]]


@pytest.fixture(scope="module")
def params():
    """Two members with keys and values in the last layer of the decoder alone."""
    site = TINY.backbone.config.sites["decoder"]
    draw = np.random.default_rng(0)

    def prompt():
        shape = (2, site.layers, 2, site.kv_heads, site.head_width)
        keys, values = draw.normal(size=shape)
        deep = {"decoder": make_deep(keys, values, (False, True))}
        return make_prompt(jnp.zeros((0, 16)), deep)

    return TINY.join(stack([prompt(), prompt()]))


def kept_of(params, batch, **options):
    read = jax.jit(lambda rows: prompted_lower(TINY.backbone, params, rows))
    places = place_rows([batch], jax.eval_shape(read, batch))
    return keep_states(read, [batch], places, batch_size=4, **options)


def test_a_batch_scores_the_same_by_the_states_of_its_rows(params):
    batch = one_each(DIFFERENT)
    kept = kept_of(params, batch)
    assert kept.places.like.layers == (1, 1)
    assert len(kept.places.starts) == 7
    tokens = sum(row.inputs.size + row.targets.size for row in ROWS)
    assert len(kept.states) == tokens
    # Other rows together, of both members, and wider.
    other = one_each([DIFFERENT[n] for n in (8, 3, 1, 3)], inputs=14)
    other = dataclasses.replace(other, members=np.array([0, 1, 1, 0], np.int32))
    score = jax.jit(lambda rows: prompted_logits(TINY.backbone, params, rows))
    joined = kept.join(other)
    # Nothing is read of the ids themselves.
    without = dataclasses.replace(
        joined,
        inputs=np.zeros_like(joined.inputs),
        target_inputs=np.zeros_like(joined.target_inputs),
    )
    found, expected = np.asarray(score(without)), np.asarray(score(other))
    real = other.target_segments > 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    assert np.abs(expected[1] - expected[3]).max() > 0.01
    longest = max(DIFFERENT[n].inputs.size for n in (8, 3, 1, 3))
    found = kept.join(resize(other, longest)).lower.inputs
    np.testing.assert_array_equal(found, joined.lower.inputs[:, :longest])


def test_a_file_holds_the_same_and_leaves_no_name_behind(params, tmp_path):
    batch = one_each(ROWS)
    in_memory, in_file = kept_of(params, batch), kept_of(params, batch, folder=tmp_path)
    np.testing.assert_array_equal(in_file.states, in_memory.states)
    assert isinstance(in_file.states, np.memmap)
    assert not [*tmp_path.iterdir()]


def test_a_row_of_other_ids_has_no_states(params):
    kept = kept_of(params, one_each(ROWS[:3]))
    with pytest.raises(KeyError):
        kept.join(one_each(ROWS[3:4]))
    # One example, or both of its halves for themselves, are not the same row.
    row = next(row for row in ROWS[:3] if row.inputs.size > 1)
    first, second = np.array_split(row.inputs, 2)
    halves = [
        dataclasses.replace(row, inputs=first),
        dataclasses.replace(row, inputs=second, targets=row.targets[:0]),
    ]
    with pytest.raises(KeyError):
        kept.join(to_batch([halves]))
