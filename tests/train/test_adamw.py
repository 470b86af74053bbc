"""AdamW by its formulas, what it spares, and clipping inside the mask."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import draw_prompt

from jaxprompt.train.optimizer import (
    FREEZE,
    MODEL_TUNING,
    adamw,
    clipped,
    embeddings_at,
    train_only,
)


def take_step(tx, params, grads):
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


def test_adamw_follows_its_formulas():
    draw = np.random.default_rng(0)
    weights, grads = draw.normal(size=(3, 4)), draw.normal(size=(20, 3, 4))
    tx = adamw(0.01, weight_decay=0.1, beta1=0.8, beta2=0.95, epsilon=1e-6)
    ours = {"prompt": jnp.asarray(weights, jnp.float32)}
    state = tx.init(ours)
    first, second = np.zeros((3, 4)), np.zeros((3, 4))
    for step, grad in enumerate(grads, start=1):
        grads_of = {"prompt": jnp.asarray(grad, jnp.float32)}
        updates, state = tx.update(grads_of, state, ours)
        ours = optax.apply_updates(ours, updates)
        first, second = 0.8 * first + 0.2 * grad, 0.95 * second + 0.05 * grad**2
        change = first / (1 - 0.8**step)
        change /= np.sqrt(second / (1 - 0.95**step)) + 1e-6
        weights = weights - 0.01 * (change + 0.1 * weights)
    np.testing.assert_allclose(ours["prompt"], weights, rtol=1e-4, atol=1e-6)


def test_weight_decay_spares_norms_and_position_biases(tiny):
    zeros = jax.tree.map(jnp.zeros_like, tiny.model)
    after = take_step(adamw(0.1, weight_decay=0.5), tiny.model, zeros)

    def check(path, before, after):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spared = name.endswith(("norm", "relative_bias"))
        np.testing.assert_allclose(after, before if spared else 0.95 * before, 1e-6)

    jax.tree_util.tree_map_with_path(check, tiny.model, after)


def test_clipping_scales_all_gradients_by_one_factor():
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    grads = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    step = take_step(clipped(optax.sgd(1.0), 1.0), params, grads)
    np.testing.assert_allclose(step["a"], [-0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(step["b"], [-0.8], rtol=1e-6)
    same = take_step(clipped(optax.sgd(1.0), 0.0), params, grads)
    np.testing.assert_array_equal(same["b"], [-4.0])
    with pytest.raises(ValueError, match=r"clip norm -1\.0"):
        clipped(optax.sgd(1.0), -1.0)
    with pytest.raises(ValueError, match="clip norm nan"):
        clipped(optax.sgd(1.0), float("nan"))


def test_members_are_clipped_each_on_its_own():
    prompt = draw_prompt(0, members=2)
    grads = jax.tree.map(jnp.ones_like, prompt)
    large = jax.tree.map(lambda x: x.at[1].multiply(100.0), grads)
    tx = train_only(clipped(optax.sgd(1.0), 0.1), FREEZE)
    frozen = {"model": optax.MaskedNode()}
    steps = [
        take_step(tx, {**frozen, "prompt": prompt}, {**frozen, "prompt": g})["prompt"]
        for g in (grads, large)
    ]
    np.testing.assert_allclose(steps[0].rows[0], steps[1].rows[0])


def test_a_model_trains_by_it_and_the_prompt_stays(tiny):
    tx = train_only(clipped(adamw(0.1, weight_decay=0.1), 1.0), MODEL_TUNING)
    params = {"model": tiny.model, "prompt": optax.MaskedNode()}
    grads = jax.tree.map(jnp.ones_like, params)
    after = take_step(tx, params, grads)
    moved = jax.tree.map(lambda a, b: bool((a != b).all()), after, params)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_embedding_table_takes_its_share_of_a_step(share: float):
    params = {"embedding": jnp.ones((4, 3)), "encoder": {"final_norm": jnp.ones(3)}}
    gradients = jax.tree.map(jnp.ones_like, params)
    tx = embeddings_at(optax.sgd(1.0), share)
    updates, _ = tx.update(gradients, tx.init(params), params)
    np.testing.assert_allclose(updates["embedding"], -share)
    np.testing.assert_allclose(updates["encoder"]["final_norm"], -1.0)


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"embedding share 1\.5: use a share from 0"):
        embeddings_at(optax.sgd(1.0), 1.5)
