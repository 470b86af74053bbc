"""Every leaf has a place on the mesh, or an error says why not."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import draw_examples, draw_prompt, one_each

from jaxprompt.prompts.join import prompted_encode
from jaxprompt.sharding import (
    RULES_OVER_DATA,
    check_batch_size,
    make_mesh,
    place,
    place_batch,
    regroup,
    shardings,
)


def test_a_mesh_takes_every_device():
    assert dict(make_mesh().shape) == {"data": 8, "model": 1}
    assert dict(make_mesh(model=4).shape) == {"data": 2, "model": 4}
    assert dict(make_mesh(1, 8).shape) == {"data": 1, "model": 8}


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        (-1, 3, "data=2 x model=3 = 6 devices, but there are 8"),
        (-1, 16, "data=1 x model=16 = 16 devices, but there are 8"),
        (2, 2, "data=2 x model=2 = 4 devices, but there are 8"),
        (0, 8, "data=0, model=8: use positive sizes"),
        (-1, 0, "data=-1, model=0: use positive sizes"),
    ],
)
def test_a_mesh_of_other_devices_is_refused(data, model, message):
    with pytest.raises(ValueError, match=message):
        make_mesh(data, model)


def test_weights_are_split_and_what_trains_is_on_every_device(tiny):
    mesh = make_mesh(2, 4)
    params = place(tiny.join(draw_prompt(0)), mesh)
    model, layers = params["model"], params["model"]["decoder"]["layers"]

    def shard(leaf):
        return leaf.addressable_shards[0].data.shape

    assert shard(params["prompt"].rows) == (1, 3, 16)
    assert shard(model["embedding"]) == (64 // 4, 16)
    assert shard(model["logits"]) == (16, 64 // 4)
    assert shard(layers["cross"]["query"]) == (1, 16, 32 // 4)
    assert shard(layers["attention"]["out"]) == (1, 32 // 4, 16)
    assert shard(layers["ffn"]["gate"]) == (1, 16, 24 // 4)
    assert shard(layers["ffn"]["down"]) == (1, 24 // 4, 16)
    assert shard(layers["ffn_norm"]) == (1, 16)
    assert shard(model["encoder"]["relative_bias"]) == (32, 8)
    for found, expected in zip(
        jax.tree.leaves(model), jax.tree.leaves(tiny.model), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_weights_split_over_data_too_take_an_eighth_each(tiny):
    params = place(tiny.join(draw_prompt(0)), make_mesh(2, 4), RULES_OVER_DATA)
    for name, leaf in jax.tree.leaves_with_path(params["model"]):
        here = leaf.addressable_shards[0].data.size
        matrix = "norm" not in str(name) and "relative_bias" not in str(name)
        assert here == leaf.size // (8 if matrix else 1), name
    assert params["prompt"].rows.sharding.is_fully_replicated


def test_activations_stay_split_by_rows(tiny):
    """Said to the compiler: the program has a sharding at every layer."""
    mesh = make_mesh(4, 2)
    backbone = dataclasses.replace(tiny.backbone, mesh=mesh)
    batch = place_batch(one_each(draw_examples(0, 8)), mesh)
    encode = jax.jit(functools.partial(prompted_encode, backbone))
    params = place(tiny.join(draw_prompt(0)), mesh)
    encoded = encode(params, batch).states
    assert encoded.sharding.spec[0] == "data"
    assert encoded.addressable_shards[0].data.shape[0] == 2


def test_members_of_a_bank_are_regrouped_from_the_shares_of_hosts():
    """Two hosts bring half of the rows of each of three members."""
    mesh = make_mesh(2, 4)
    rows = np.array([[m, h, i] for h in range(2) for m in range(3) for i in range(2)])
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    found = regroup(jax.device_put(rows, sharding), 2, 3, sharding)
    expected = [[m, h, i] for m in range(3) for h in range(2) for i in range(2)]
    np.testing.assert_array_equal(found, expected)
    assert found.sharding.spec == jax.P("data")


def test_shapes_are_enough(tiny):
    shapes = jax.eval_shape(lambda: tiny.model)
    assert shardings(shapes, make_mesh())["embedding"].spec == jax.P("model", None)


def test_the_first_rule_that_matches_wins():
    rules = [("a/.*", jax.P("data")), (".*", jax.P())]
    found = shardings({"a": {"x": jnp.ones(8)}, "b": jnp.ones(8)}, make_mesh(), rules)
    assert found["a"]["x"].spec == jax.P("data")
    assert found["b"].spec == jax.P()


def test_a_leaf_without_a_rule_is_named():
    with pytest.raises(ValueError, match="no sharding rule matches model/novelty"):
        shardings({"model": {"novelty": jnp.ones(8)}}, make_mesh())


def test_a_size_that_does_not_divide_is_named():
    with pytest.raises(
        ValueError,
        match=r"embedding \(63, 4\): 63 is not divisible by the model axis \(8",
    ):
        place({"embedding": jnp.ones((63, 4))}, make_mesh(1, 8))


def test_a_batch_is_split_by_rows_over_the_data_axis():
    batch = one_each(draw_examples(0, 8))
    placed = place_batch(batch, make_mesh(4, 2))
    assert placed.inputs.sharding.spec == jax.P("data")
    assert placed.inputs.addressable_shards[0].data.shape == (2, 10)
    np.testing.assert_array_equal(placed.inputs, batch.inputs)


def test_batch_sizes():
    mesh = make_mesh(4, 2)
    check_batch_size(8, mesh)
    check_batch_size(24, mesh, accumulate=3)
    with pytest.raises(ValueError, match=r"batch size 10 .*\(4 devices\): use 8 or 12"):
        check_batch_size(10, mesh)
    with pytest.raises(ValueError, match=r"batch size 3 .*: use 4, or another mesh"):
        check_batch_size(3, mesh)
    with pytest.raises(
        ValueError, match=r"batch size 16 .* x 3 accumulation steps.*: use 12 or 24"
    ):
        check_batch_size(16, mesh, accumulate=3)
    with pytest.raises(ValueError, match="batch size 0"):
        check_batch_size(0, mesh)
