"""Deep prompts in rows of several examples, in int8, and over several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import WIDTH, Tiny, draw_examples, one_each, to_batch

from jaxprompt.heads.words import WORDS
from jaxprompt.models.quantise import dequantise, quantise
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import Prompt, make_deep, make_prompt, stack
from jaxprompt.sharding import make_mesh, place, place_batch
from jaxprompt.train.loss import token_shares
from jaxprompt.train.step import loss_gradients


def draw(tiny: Tiny, seed: int) -> Prompt:
    deep = {}
    for place_, (site, sizes) in enumerate(tiny.backbone.config.sites.items()):
        shape = (2, sizes.layers, 3, sizes.kv_heads, sizes.head_width)
        keys, values = np.random.default_rng([seed, place_]).normal(size=shape)
        deep[site] = make_deep(keys, values, in_front=site != "cross")
    return make_prompt(jnp.zeros((0, WIDTH)), deep)


@pytest.fixture(scope="module")
def bank(tiny) -> Prompt:
    return stack([draw(tiny, 0), draw(tiny, 1)])


def rows(count: int = 8):
    of_members = [draw_examples(m, count // 2, member=m, length=0) for m in (0, 1)]
    return one_each([one for own in of_members for one in own])


def slopes(tiny: Tiny, bank: Prompt, mesh=None):
    """Differentiates the loss of a batch of both members by their keys and values."""
    params, batch = tiny.join(bank), rows()
    shares = token_shares(batch, 2)
    if mesh is not None:
        params, batch = place(params, mesh), place_batch(batch, mesh)
    frozen = {"model": params["model"], "head": {}}
    trained = {"prompt": params["prompt"]}
    compute = jax.jit(
        lambda *arguments: loss_gradients(
            tiny.backbone, *arguments, head=WORDS, z_loss=0.0
        )
    )
    grads, metrics = compute(trained, frozen, batch, shares)
    return jax.tree.map(np.asarray, (grads, metrics["loss"]))


def assert_near(found, expected, atol: float = 1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=atol), found, expected
    )


@pytest.fixture(scope="module")
def expected(tiny, bank):
    found = slopes(tiny, bank)
    deep = found[0]["prompt"].deep
    assert all(np.abs(own.keys).max() > 1e-3 for own in deep.values())
    return found


def test_every_example_of_a_packed_row_reads_them_as_alone(tiny, bank):
    examples = draw_examples(5, 3, member=1, length=0)
    params = tiny.join(bank)
    logits = jax.jit(prompted_logits, static_argnums=0)
    packed = logits(tiny.backbone, params, to_batch([examples], 30, 15))
    alone = logits(tiny.backbone, params, one_each(examples))
    start = 0
    for number, example in enumerate(examples):
        stop = start + example.targets.size
        own = alone[number, : example.targets.size]
        np.testing.assert_allclose(packed[0, start:stop], own, atol=1e-5)
        start = stop
    other = logits(tiny.backbone, tiny.join(draw(tiny, 0)), one_each(examples))
    assert np.abs(np.asarray(other - alone)).max() > 0.1


@pytest.mark.parametrize(("data", "model"), [(2, 4), (8, 1)])
def test_sharded_equals_unsharded(tiny, bank, expected, data, model):
    assert_near(slopes(tiny, bank, make_mesh(data, model)), expected)


def test_on_int8_weights_they_train_as_on_the_rounded_ones(tiny, bank, expected):
    int8 = quantise(tiny.model)
    found = slopes(Tiny(tiny.backbone, int8), bank)
    assert_near(found, slopes(Tiny(tiny.backbone, dequantise(int8)), bank))
    # Rounding does change something.
    assert np.abs(found[1] - expected[1]) > 1e-6
