"""What trains in a prompt's place expands to the prompt that is saved and read."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import WIDTH, make_tiny

from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.flat import flatten, unflatten
from jaxprompt.prompts.prompt import Prompt, make_deep, make_prompt
from jaxprompt.prompts.reparametrise import REPARAMETRISATIONS, SHARING
from jaxprompt.prompts.reparametrise.mlp import mlp
from jaxprompt.prompts.reparametrise.shared import weighted
from jaxprompt.prompts.trained import join_members

TINY = make_tiny()
NAMES = [name for name in REPARAMETRISATIONS if name != "none"]
INDEPENDENT = [name for name in NAMES if name not in SHARING]


def draw(seed: int) -> Prompt:
    """Draws three soft tokens, and two keys and values at two sites."""
    rng = np.random.default_rng(seed)
    sizes = TINY.backbone.config.sites["encoder"]
    shape = (sizes.layers, 2, sizes.kv_heads, sizes.head_width)
    deep = {
        site: make_deep(rng.normal(size=shape), rng.normal(size=shape))
        for site in ("encoder", "cross")
    }
    return make_prompt(jnp.asarray(rng.normal(size=(3, WIDTH))), deep)


def reparametrised(name: str, *seeds: int) -> Any:
    make = jax.jit(REPARAMETRISATIONS[name])
    return join_members([make(jax.random.key(seed), draw(seed)) for seed in seeds])


def trained(name: str, *seeds: int) -> Any:
    """Steps down a loss that is another one for each member and each number."""

    def loss(found):
        total = jnp.zeros(())
        for place, leaf in enumerate(jax.tree.leaves(found.expand())):
            draws = [np.random.default_rng([seed, place]) for seed in seeds]
            goals = [draw.normal(size=leaf.shape[1:]) for draw in draws]
            total += jnp.sum((leaf - jnp.asarray(np.stack(goals), jnp.float32)) ** 2)
        return total

    found = reparametrised(name, *seeds)
    for _ in range(2):
        step = jax.jit(jax.grad(loss))(found)
        found = jax.tree.map(lambda leaf, own: leaf - 0.05 * own, found, step)
    return found


def gap(one: Prompt, other: Prompt) -> float:
    gaps = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), one, other)
    return max(jax.tree.leaves(gaps))


@pytest.mark.parametrize("name", INDEPENDENT)
def test_a_bank_trains_each_member_as_alone_and_its_file_holds_the_prompt(
    name, tmp_path
):
    alone = trained(name, 1).expand()
    bank = trained(name, 0, 1).expand()
    assert gap(alone, jax.tree.map(lambda leaf: leaf[1:], bank)) < 1e-4
    assert gap(alone, reparametrised(name, 1).expand()) > 1e-3
    save_prompt(tmp_path / "prompt.safetensors", alone, TINY.backbone)
    assert gap(load_prompt(tmp_path / "prompt.safetensors")[0], alone) == 0.0


@pytest.mark.parametrize("name", ["residual_mlp", "low_rank", "multitask"])
def test_these_start_as_the_prompt_that_they_are_given(name):
    assert gap(reparametrised(name, 3).expand(), draw(3)) < 1e-5


def test_members_of_a_multitask_bank_share_a_prompt_and_scale_it():
    found = trained("multitask", 0, 1)
    bank, start = found.expand(), reparametrised("multitask", 0, 1)
    for name, matrix in (("rows", bank.rows), ("cross", flatten(bank.deep["cross"]))):
        part = found.parts[name]
        shared = matrix / (part.columns[:, :, None] * part.rows[:, None])
        np.testing.assert_allclose(shared[0], shared[1], rtol=1e-4)
        assert np.abs(part.rows[0] - part.rows[1]).max() > 1e-3
        begun = start.parts[name].shared.mean(axis=0)
        assert np.abs(shared[0] - begun).max() > 1e-3
    assert gap(trained("multitask", 0).expand(), bank) > 1e-2


def test_a_product_of_low_rank_is_the_nearest_there_is():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(14, WIDTH)).astype(np.float32)
    prompt = REPARAMETRISATIONS["low_rank"](jax.random.key(0), make_prompt(rows))
    left, sizes, right = np.linalg.svd(rows)
    sizes[10:] = 0
    expected = left @ np.diag(sizes) @ right[:14]
    np.testing.assert_allclose(prompt.expand().rows[0], expected, atol=1e-5)


def test_the_network_of_keys_and_values_is_that_of_p_tuning_v2():
    """In its order: of a token the key of each layer, then its value."""
    found = mlp(jax.random.key(0), draw(0))
    one = jax.tree.map(lambda leaf: np.asarray(leaf[0]), found.networks["cross"])
    flat = np.tanh(one.embedding @ one.down + one.down_bias) @ one.up + one.up_bias
    layers, heads, width = TINY.backbone.config.sites["cross"]
    slabs = flat.reshape(2, 2 * layers, heads, width).transpose(1, 0, 2, 3)
    deep = found.expand().deep["cross"]
    np.testing.assert_allclose(deep.keys[0], slabs[0::2], atol=1e-7)
    np.testing.assert_allclose(deep.values[0], slabs[1::2], atol=1e-7)
    again = unflatten(deep, flatten(deep))
    np.testing.assert_array_equal(again.keys, deep.keys)


def test_the_lstm_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    found = reparametrised("lstm", 5)
    theirs = torch.nn.LSTM(
        WIDTH, WIDTH // 2, num_layers=2, bidirectional=True, batch_first=True
    )
    linear = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(2)]

    def put(parameter, array):
        parameter.data = torch.tensor(np.asarray(array[0]).T)

    for number, directions in enumerate(found.layers):
        for own, suffix in zip(directions, ("", "_reverse"), strict=True):
            end = f"_l{number}{suffix}"
            put(getattr(theirs, f"weight_ih{end}"), own.read)
            put(getattr(theirs, f"weight_hh{end}"), own.recall)
            put(getattr(theirs, f"bias_ih{end}"), own.bias)
            put(getattr(theirs, f"bias_hh{end}"), jnp.zeros_like(own.bias))
    put(linear[0].weight, found.hidden)
    put(linear[0].bias, found.hidden_bias)
    put(linear[1].weight, found.out)
    put(linear[1].bias, found.out_bias)
    with torch.no_grad():
        x, _ = theirs(torch.tensor(np.asarray(found.prompt.rows)))
        expected = linear[1](torch.relu(linear[0](x)))
    np.testing.assert_allclose(found.expand().rows, expected.numpy(), atol=1e-5)


def test_an_lstm_needs_a_width_of_two_halves():
    odd = dataclasses.replace(draw(0), rows=jnp.ones((1, 3, 5)))
    with pytest.raises(ValueError, match="the model width 5 is odd"):
        REPARAMETRISATIONS["lstm"](jax.random.key(0), odd)


def test_a_shared_prompt_learns_from_every_member_by_its_weight():
    bank = reparametrised("shared", 0, 1)
    counted = weighted(bank, [1, 9], temperature=2.0)
    assert counted.weights == (0.5, 1.5)

    def loss(trained, of: int):
        return trained.expand().rows[of].sum()

    for member, weight in enumerate(counted.weights):
        plain, more = (jax.grad(loss)(x, member).prompt.rows for x in (bank, counted))
        np.testing.assert_allclose(plain, np.full(plain.shape, 0.5), rtol=1e-6)
        np.testing.assert_allclose(more, weight * plain, rtol=1e-6)
    expanded, again = bank.expand(), counted.expand()
    jax.tree.map(np.testing.assert_array_equal, expanded, again)
    np.testing.assert_array_equal(expanded.rows[0], expanded.rows[1])
