"""A prompt is a pytree; a bank is taken apart as it was put together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import draw_prompt

from jaxprompt.prompts.prompt import Prompt, empty_prompt, make_prompt, stack, unstack


def test_a_prompt_is_float32_whatever_it_is_made_from():
    prompt = make_prompt(jnp.ones((3, 4), jnp.bfloat16))
    assert prompt.rows.dtype == jnp.float32
    assert (prompt.members, prompt.length, prompt.width) == (1, 3, 4)
    assert empty_prompt(4).rows.shape == (1, 0, 4)


def test_rows_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\)"):
        make_prompt(jnp.ones((2, 3, 4)))


def test_a_bank_is_taken_apart_as_it_was_put_together():
    prompts = [draw_prompt(seed) for seed in range(3)]
    bank = stack(prompts)
    assert bank.members == 3
    for before, after in zip(prompts, unstack(bank), strict=True):
        np.testing.assert_array_equal(before.rows, after.rows)
    assert stack([bank, prompts[0]]).members == 4


def test_prompts_of_different_shapes_make_no_bank():
    with pytest.raises(ValueError, match=r"\[\(2, 16\), \(3, 16\)\] make no bank"):
        stack([draw_prompt(0), draw_prompt(0, length=2)])
    with pytest.raises(ValueError, match=r"\[\] make no bank"):
        stack([])


def test_trees_of_other_things_keep_the_type():
    """Masks, shapes and shardings stand where the arrays stood."""
    mask = jax.tree.map(lambda _: True, draw_prompt(0))
    assert mask == Prompt(rows=True)
    shapes = jax.eval_shape(lambda: draw_prompt(0, members=2))
    assert shapes.rows.shape == (2, 3, 16)
