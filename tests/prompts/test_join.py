"""embed is the concatenation of prompt and table, whatever their layout."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import LENGTH, VOCAB_ROWS, WIDTH, draw_examples, draw_prompt, one_each

from jaxprompt.prompts.join import embed, prompted_logits
from jaxprompt.prompts.prompt import empty_prompt, make_prompt
from jaxprompt.sharding import make_mesh, place

TABLE = jax.random.normal(jax.random.key(5), (VOCAB_ROWS, WIDTH))


@pytest.mark.parametrize("members", [[0], [2, 0, 1, 2]])
def test_ids_read_the_table_and_then_the_prompt_of_the_rows_member(members):
    prompt = draw_prompt(1, max(members) + 1)
    ids = jax.random.permutation(jax.random.key(0), VOCAB_ROWS + LENGTH)
    rows = jnp.tile(ids, (len(members), 1))
    found = embed(TABLE, prompt, rows, jnp.array(members))
    for row, member in zip(found, members, strict=True):
        joined = jnp.concatenate([TABLE, prompt.rows[member]])
        np.testing.assert_array_equal(row, joined[ids])


def test_without_a_prompt_it_is_the_table():
    ids = jnp.array([[0, 5], [63, 1]])
    found = embed(TABLE, empty_prompt(WIDTH), ids, jnp.zeros(2, jnp.int32))
    np.testing.assert_array_equal(found, TABLE[ids])


def test_the_result_has_the_tables_dtype():
    table, prompt = TABLE.astype(jnp.bfloat16), draw_prompt(1)
    found = embed(table, prompt, jnp.array([[2, 64]]), jnp.array([0]))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[0, 1], prompt.rows[0, 0].astype(jnp.bfloat16))


def test_a_prompt_of_another_width_is_refused():
    """Half as wide, its rows could be read two by two."""
    with pytest.raises(ValueError, match="prompt width 8 != model width 16"):
        embed(TABLE, make_prompt(jnp.ones((4, 8))), jnp.array([[64]]), jnp.array([0]))


def test_the_gradient_reaches_the_soft_tokens_used_and_nothing_else():
    ids = jnp.array([[65, 3, 65], [0, 65, 7]])

    def total(prompt):
        return jnp.sum(embed(TABLE, prompt, ids, jnp.array([0, 1])))

    uses = jax.grad(total)(draw_prompt(1, members=2)).rows
    expected = np.zeros((2, 3))
    expected[0, 1], expected[1, 1] = 2, 1
    np.testing.assert_array_equal(uses, np.repeat(expected[..., None], WIDTH, axis=2))


def test_a_sharded_table_is_not_copied():
    """Beside the result there is no room for the table, nor for a device's share."""
    table, mesh = jnp.tile(TABLE, (16, 1)), make_mesh(2, 4)
    params = place({"embedding": table, "prompt": draw_prompt(1)}, mesh)
    ids = np.random.default_rng(0).integers(0, len(table) + 3, (2, 20))
    placed = jax.device_put(ids, jax.NamedSharding(mesh, jax.P("data")))
    members = jax.device_put(
        np.zeros(2, np.int32), jax.NamedSharding(mesh, jax.P("data"))
    )
    args = params["embedding"], params["prompt"], placed, members
    compiled = jax.jit(embed).lower(*args).compile()
    share = params["embedding"].addressable_shards[0].data.nbytes
    assert share == table.nbytes // 4
    assert compiled.memory_analysis().temp_size_in_bytes < share / 4
    expected = embed(table, draw_prompt(1), jnp.asarray(ids), jnp.zeros(2, jnp.int32))
    np.testing.assert_array_equal(compiled(*args), expected)


def test_a_prompt_of_real_tokens_gives_the_logits_of_those_tokens(tiny):
    words = jnp.array([17, 4, 40])
    table = tiny.backbone.table(tiny.model)
    batch = one_each(draw_examples(0, 4))
    soft = batch.inputs >= VOCAB_ROWS
    hard = batch.inputs.copy()
    hard[soft] = np.tile(words, 4)
    logits = jax.jit(prompted_logits, static_argnums=0)
    expected = logits(
        tiny.backbone,
        tiny.join(draw_prompt(9)),
        dataclasses.replace(batch, inputs=hard),
    )
    found = logits(tiny.backbone, tiny.join(make_prompt(table[words])), batch)
    np.testing.assert_array_equal(found, expected)
    other = logits(tiny.backbone, tiny.join(draw_prompt(9)), batch)
    assert np.abs(other - found).max() > 0.1
