"""Matrix products are counted as often as they run, and as XLA counts them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from tiny import CONFIG, draw_examples, make_tiny, one_each

from jaxprompt.models.layers.fused_attention import Attended, attend_by_splash
from jaxprompt.models.quantise import quantise
from jaxprompt.plan.work import Work, count_work
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

X = jax.ShapeDtypeStruct((8, 16), jnp.float32)
W = jax.ShapeDtypeStruct((16, 16), jnp.float32)
ONE = Work(flops=2.0 * 8 * 16 * 16, traffic=4.0 * (8 * 16 + 16 * 16 + 8 * 16))


def test_a_loop_counts_as_often_as_it_runs():
    def five(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0]

    def until(x, w):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)

    assert count_work(jnp.matmul, X, W) == ONE
    assert count_work(five, X, W) == ONE.times(5)
    assert count_work(jax.jit(until), X, W, rounds=3) == ONE.times(3)


def test_of_branches_one_runs():
    """As in a layer that may have no keys and values of a deep prompt."""

    def either(x, w):
        return jax.lax.cond(x.sum() > 0, lambda: x @ w @ w, lambda: x @ w)

    assert count_work(either, X, W) == ONE.times(2)


def test_what_nobody_reads_is_not_counted():
    def wasteful(x, w):
        jnp.sin(x @ w)
        return x + 1

    assert count_work(jax.jit(wasteful), X, W) == Work(0.0, 0.0)


def test_an_int8_matrix_is_read_as_int8():
    def product(x, w):
        return x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)

    stored = jax.ShapeDtypeStruct(W.shape, jnp.int8)
    found = count_work(product, X, stored)
    assert found.traffic == 2 * 8 * 16 + 16 * 16 + 2 * 8 * 16


def tiny_step(remat="none", **options):
    sizes = {"vocab_rows": 512, "width": 256, "ffn_width": 1024, "head_width": 32}
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    tiny = make_tiny(dataclasses.replace(CONFIG, **layers, **sizes))
    backbone = dataclasses.replace(tiny.backbone, remat=remat, **options)
    prompt = make_prompt(tiny.model["embedding"][:3])
    tx = train_only(adafactor())
    return backbone, {"model": tiny.model, "prompt": prompt}, tx


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_a_train_step_counts_as_in_xla(remat):
    """XLA counts the body of a loop once, so there it is unrolled.

    It counts element by element too, and less where it finds that what is to be
    computed again is there.
    """
    backbone, params, tx = tiny_step(remat)
    batch = one_each(draw_examples(0, 8), inputs=24)
    state, frozen = init_state(params, tx)
    unrolled = dataclasses.replace(backbone, unroll=True)
    compiled = make_train_step(unrolled, tx).lower(state, frozen, batch).compile()
    counted = count_work(make_train_step(backbone, tx), state, frozen, batch)
    assert counted.flops == pytest.approx(compiled.cost_analysis()["flops"], rel=0.06)


def test_accumulation_reads_weights_again_and_computes_the_same():
    backbone, params, tx = tiny_step()
    batch = one_each(draw_examples(0, 8), inputs=24)
    state, frozen = init_state(params, tx)
    whole, parts = (
        count_work(
            make_train_step(backbone, tx, accumulate=number), state, frozen, batch
        )
        for number in (1, 4)
    )
    assert parts.flops == whole.flops
    assert parts.traffic > 1.5 * whole.traffic


def test_int8_weights_compute_the_same_and_read_less():
    backbone, params, tx = tiny_step()
    batch = one_each(draw_examples(0, 8), inputs=24)
    state, frozen = init_state(params, tx)
    step = make_train_step(backbone, tx)
    small = {"model": quantise(frozen["model"])}
    assert count_work(step, state, small, batch).flops == pytest.approx(
        count_work(step, state, frozen, batch).flops, rel=0.01
    )
    assert (
        count_work(step, state, small, batch).traffic
        < 0.7 * count_work(step, state, frozen, batch).traffic
    )


def test_a_kernel_keeps_its_products_on_the_chip():
    """Scores and what they mix are counted; its arrays are read and written once."""
    rows, length, heads, width = 2, 1024, 4, 64
    shape = jax.ShapeDtypeStruct((rows, length, heads, width), jnp.bfloat16)
    visible = jax.ShapeDtypeStruct((rows, length, length), bool)

    def attend(queries: Any, keys: Any, values: Any, visible: Any) -> Any:
        return attend_by_splash(queries, Attended(keys, values, visible), scale=1.0)

    found = count_work(attend, shape, shape, shape, visible)
    assert found.flops == 2 * 2 * rows * heads * length**2 * width
    scores = 4 * rows * heads * length**2
    assert found.traffic < scores / 2
