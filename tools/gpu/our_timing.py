"""Times this project on a device: products, train steps, forward and decode steps."""

import dataclasses
import functools
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from findings import OURS, Fact, Finding, Skipped, Timing
from registry import PROMPTS, Settings, draw_pairs, draw_weights, make_batch, why_not

from jaxprompt.models.attention_form import AttentionForm, choose_form, device_of
from jaxprompt.models.backbone import Backbone, writer_of
from jaxprompt.models.config import Config
from jaxprompt.models.families import make_backbone
from jaxprompt.plan.work import Work, count_work
from jaxprompt.prompts.join import (
    prompted_embed,
    prompted_encode,
    prompted_logits,
)
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

_MOST_SECONDS = 3.0
"""Of repetitions; the last one may end later."""


def time_calls(call: Callable[[], object], rounds: int) -> float:
    """Returns the median seconds of a call, compiled and warmed up first.

    Args:
        call: What to time; it returns when the work is done.
        rounds: Most repetitions.
    """
    for _ in range(2):
        call()
    seconds: list[float] = []
    while len(seconds) < rounds and sum(seconds) < _MOST_SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def product_rate(size: int, dtype: str, precision: str | None = None) -> float:
    """Returns the FLOP/s of products of two random matrices [size, size]."""
    key = jax.random.key(0, impl="unsafe_rbg")  # Fast to compile, fast to draw.
    left, right = jax.random.normal(key, (2, size, size), dtype)
    product = jax.jit(functools.partial(jnp.matmul, precision=precision))
    repeats = 10

    def call() -> None:
        jax.block_until_ready([product(left, right) for _ in range(repeats)])

    return 2.0 * repeats * size**3 / time_calls(call, rounds=5)


def product_size(settings: Settings) -> int:
    """Returns the size of the product that rates are compared with."""
    return 256 if settings.tiny else 8192


def device_memory() -> int:
    """Returns the bytes that arrays can take on the device; on a CPU the machine's."""
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def float32_in_force() -> str:
    """Says what a float32 product is computed in, by the error of one."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 512, 512))
    exact = left @ right
    found = jnp.asarray(left, jnp.float32) @ jnp.asarray(right, jnp.float32)
    error = float(np.abs(np.asarray(found, np.float64) - exact).max())
    error /= float(np.abs(exact).max())
    name = "float32" if error < 1e-5 else "less than float32, as TF32 or bfloat16"
    asked = jax.config.values["jax_default_matmul_precision"]
    return f"{name} (largest error {error:.0e}; jax_default_matmul_precision {asked})"


def find_machine(settings: Settings) -> Iterator[Finding]:
    """Says what the device is, and what its products and copies reach."""
    device, size = jax.devices()[0], product_size(settings)
    yield Fact("device", f"{device.device_kind} ({jax.device_count()} of them)")
    yield Fact("memory for arrays", f"{device_memory() / 1e9:.1f} GB")
    yield Fact("software", f"jax {jax.__version__}, Python {platform.python_version()}")
    yield Fact("XLA_FLAGS", os.environ.get("XLA_FLAGS", "not set"))
    yield Fact("float32 products are computed in", float32_in_force())
    for dtype, precision in (
        ("bfloat16", None),
        ("float32", None),
        ("float32", "highest"),
    ):
        rate = product_rate(size, dtype, precision)
        how = "default precision" if precision is None else f"precision {precision}"
        yield Fact(
            f"product of {size} x {size} in {dtype}, {how}",
            f"{rate / 1e12:.2f} TFLOP/s",
        )
    numbers = jnp.ones(2**20 if settings.tiny else 2**30, jnp.bfloat16)
    add = jax.jit(lambda x: x + 1)
    seconds = time_calls(lambda: add(numbers).block_until_ready(), rounds=10)
    moved = 2 * numbers.nbytes / seconds / 1e9
    yield Fact("reading and writing an array", f"{moved:.0f} GB/s")


def form_here(config: Config) -> AttentionForm:
    """Returns the form that attention has on this device, in bfloat16."""
    device = device_of(jax.devices()[0])
    needs = config.attention_needs
    return choose_form("auto", needs, dtype="bfloat16", device=device)


def time_model(model: str, settings: Settings) -> Iterator[Finding]:
    """Times what a user of one model does, with random weights in bfloat16."""
    config = settings.config(model)
    reason = why_not(config, device_memory())
    if reason:
        yield Skipped(model, reason)
        return
    product = product_rate(product_size(settings), "bfloat16")
    form = form_here(config)
    yield Fact(f"attention of {model}", form)
    backbone = make_backbone(
        config, dtype="bfloat16", remat=settings.remat, attention=form
    )
    weights = draw_weights(backbone)
    pairs = draw_pairs(
        config, settings.batch_size, settings.input_length, settings.target_length
    )
    longest = settings.prompts[-1]
    cases: list[tuple[str, int, Callable[..., tuple[float, Work]]]] = []
    for kind in PROMPTS:
        for length in reversed(settings.prompts):
            step = functools.partial(_train_step, kind=kind, length=length)
            cases.append((f"{kind} step", length, step))
    cases += [("decode step", longest, _decode_step), ("forward", longest, _forward)]
    for run, length, measure in cases:
        batch = make_batch(backbone, pairs, length)
        try:
            seconds, work = measure(backbone, weights, batch, settings)
        except jax.errors.JaxRuntimeError as err:  # Out of memory, above all.
            first = str(err).splitlines()[0][:200]
            yield Skipped(f"{model}, {run}, P {length}", first)
            continue
        yield Timing(
            OURS,
            model,
            run,
            length,
            seconds,
            settings.batch_size,
            work.flops,
            work.traffic,
            product,
        )


def _joined(
    backbone: Backbone, weights: Params, length: int, kind: str = "prompt"
) -> Params:
    return {"model": weights, "prompt": PROMPTS[kind](backbone, length)}


def _train_step(
    backbone: Backbone,
    weights: Params,
    batch: Batch,
    settings: Settings,
    *,
    kind: str,
    length: int,
) -> tuple[float, Work]:
    """Times forward, backward and update of a prompt."""
    tx = train_only(adafactor(0.3))
    state, frozen = init_state(_joined(backbone, weights, length, kind), tx)
    # What the backward pass computes again is no work of the model, and what a kernel
    # of the device computes is not counted.
    plain = dataclasses.replace(backbone, remat="none", attention="plain")
    work = count_work(make_train_step(plain, tx), state, frozen, batch)
    step = make_train_step(backbone, tx)

    def call() -> None:
        nonlocal state
        state, metrics = step(state, frozen, batch)
        jax.block_until_ready((state, metrics))

    return time_calls(call, settings.rounds), work


def _forward(
    backbone: Backbone, weights: Params, batch: Batch, settings: Settings
) -> tuple[float, Work]:
    """Times the logits of known targets."""
    params = _joined(backbone, weights, settings.prompts[-1])
    logits = jax.jit(functools.partial(prompted_logits, backbone))
    plain = dataclasses.replace(backbone, attention="plain")
    work = count_work(functools.partial(prompted_logits, plain), params, batch)

    def call() -> None:
        logits(params, batch).block_until_ready()

    return time_calls(call, settings.rounds), work


def _decode_step(
    backbone: Backbone, weights: Params, batch: Batch, settings: Settings
) -> tuple[float, Work]:
    """Times one token for every row, as the mean of a whole answer."""
    params = _joined(backbone, weights, settings.prompts[-1])
    length, writer = settings.target_length, writer_of(backbone)

    @jax.jit
    def start(params: Params, batch: Batch) -> Any:
        encoded = prompted_encode(backbone, params, batch)
        return writer.start_cache(params["model"], encoded, length)

    @jax.jit
    def answer(params: Params, batch: Batch, cache: Any) -> jax.Array:
        def step(carry: tuple[jax.Array, Any], index: jax.Array) -> Any:
            ids, cache = carry
            y = prompted_embed(backbone, params, ids[:, None], batch.members)[:, 0]
            logits, cache = writer.decode_step(params["model"], cache, y, index)
            ids = jnp.argmax(logits, axis=-1).astype(ids.dtype)
            return (ids, cache), ids

        first = (batch.target_inputs[:, 0], cache)
        return jax.lax.scan(step, first, jnp.arange(length))[1]

    cache = jax.block_until_ready(start(params, batch))
    work = count_work(answer, params, batch, cache).times(1 / length)

    def call() -> None:
        answer(params, batch, cache).block_until_ready()

    return time_calls(call, settings.rounds) / length, work
