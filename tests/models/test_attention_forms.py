"""The forms of attention: which is chosen where, and that all compute the same."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel as splash,
)
from jaxtyping import Array

from jaxprompt.models.attention_form import (
    AttentionForm,
    Device,
    Needs,
    choose_form,
    refusal,
)
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.layers import attention, fused_attention
from jaxprompt.models.layers.attention import Gate, Part, attend
from jaxprompt.models.layers.masks import hide_far, segment_mask
from jaxprompt.sharding import DATA, MODEL, make_mesh

CPU, TPU = Device("cpu"), Device("tpu")
HOPPER, AMPERE, TURING = (Device("gpu", (number, 0)) for number in (9, 8, 7))
AMD = Device("gpu")

ROWS, LENGTH, PREFIX, HEADS, GROUPS, WIDTH = 2, 150, 5, 4, 2, 16


def needs_of(model: str) -> Needs:
    return PUBLISHED[model].attention_needs


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        ("meta-llama/Meta-Llama-3-8B", ("chunked", "splash", "cudnn", "cudnn")),
        ("google/gemma-3-27b-pt", ("chunked", "splash", "cudnn", "cudnn")),
        # 256 features a head, and scores with a soft cap.
        ("google/gemma-3-4b-pt", ("chunked", "splash", "cudnn", "chunked")),
        ("google/gemma-2-9b", ("chunked", "splash", "chunked", "chunked")),
        # Position biases.
        ("google/t5-xl-lm-adapt", ("chunked",) * 4),
    ],
)
def test_the_form_follows_from_the_device_and_the_model(
    model: str, chosen: Sequence[str]
):
    needs = needs_of(model)
    found = [
        choose_form("auto", needs, dtype="bfloat16", device=device)
        for device in (CPU, TPU, HOPPER, AMPERE)
    ]
    assert tuple(found) == chosen
    exact = [
        choose_form("auto", needs, dtype="float32", device=device)
        for device in (CPU, HOPPER, TURING, AMD)
    ]
    assert set(exact) == {"chunked"}


@pytest.mark.parametrize(
    ("asked", "device", "dtype", "needs", "reason"),
    [
        ("cudnn", CPU, "bfloat16", Needs(64), "for NVIDIA's GPUs, and the device is a"),
        ("cudnn", AMD, "bfloat16", Needs(64), "for NVIDIA's GPUs, and this one is not"),
        ("cudnn", TURING, "bfloat16", Needs(64), "capability 8.0, and the GPU has 7.0"),
        ("cudnn", HOPPER, "float32", Needs(64), "bfloat16, and the model in float32"),
        ("cudnn", HOPPER, "bfloat16", Needs(64, capped=True), "has no soft cap"),
        ("cudnn", HOPPER, "bfloat16", Needs(64, biased=True), "as large as the scores"),
        ("cudnn", AMPERE, "bfloat16", Needs(256), "up to 128 on this GPU, .* is 256"),
        ("cudnn", HOPPER, "bfloat16", Needs(4), "that 8 divides, .* is 4"),
        ("splash", HOPPER, "bfloat16", Needs(64), "for TPUs, and the device is a gpu"),
        ("splash", TPU, "bfloat16", Needs(64, biased=True), "as large as the scores"),
        ("flash", TPU, "bfloat16", Needs(64), r"use one of \['auto', 'plain', "),
    ],
)
def test_a_form_that_is_not_able_is_refused_with_the_reason(
    asked: Any, device: Device, dtype: str, needs: Needs, reason: str
):
    with pytest.raises(ValueError, match=f"attention '{asked}': .*{reason}"):
        choose_form(asked, needs, dtype=dtype, device=device)


@pytest.mark.parametrize("form", ["plain", "chunked"])
def test_what_needs_no_kernel_is_never_refused(form: AttentionForm):
    assert refusal(form, Needs(4, capped=True, biased=True), "float32", CPU) is None


def draw(shape: tuple[int, ...], seed: int, dtype: str = "float32") -> Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def arguments(dtype: str = "float32") -> tuple[Array, ...]:
    """Queries, keys and values, and those of a prefix that all rows share."""
    own, shared = (ROWS, LENGTH, GROUPS, WIDTH), (PREFIX, GROUPS, WIDTH)
    shapes = ((ROWS, LENGTH, HEADS, WIDTH), own, own, shared, shared)
    return tuple(draw(shape, seed, dtype) for seed, shape in enumerate(shapes))


def mask() -> tuple[Array, Array]:
    """A causal mask of a row with padding inside and one of two texts, and a window.

    The prefix leaves the window too. Also returns which tokens are no padding.
    """
    segments = np.ones((ROWS, LENGTH), np.int32)
    segments[0, 40:60] = 0
    segments[0, 128:] = 0  # A whole block of a kernel sees nothing.
    segments[1, 70:] = 2
    segments[1, 140:] = 0
    segments = jnp.asarray(segments)
    at = jnp.arange(PREFIX, PREFIX + LENGTH)[None]
    own = hide_far(segment_mask(segments, segments, causal=True), at, at, 50)
    in_front = jnp.ones((ROWS, LENGTH, PREFIX), bool)
    in_front = hide_far(in_front, at, jnp.arange(PREFIX)[None], 50)
    return jnp.concatenate([in_front, own], axis=-1), segments > 0


def objective(
    form: AttentionForm,
    cap: float | None = None,
    mesh: jax.sharding.Mesh | None = None,
) -> Any:
    """Returns a function of `arguments` to gradients, and to what is attended."""
    seen, real = mask()
    weights = real[:, :, None, None]

    def loss(given: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        queries, keys, values, *shared = given
        parts = [
            Part(*shared, seen[..., :PREFIX], used=jnp.array(True)),
            Part(keys, values, seen[..., PREFIX:]),
        ]
        found = attend(queries, parts, scale=0.3, cap=cap, form=form, mesh=mesh)
        # Padding is a number too, or the layers behind would spread what it is not.
        finite = jnp.isfinite(found).all().astype(jnp.float32)
        found = jnp.where(weights, found, 0).astype(jnp.float32)
        return jnp.square(found).sum(), (found, finite)

    return jax.jit(jax.grad(loss, has_aux=True))


def assert_same(found: Any, expected: Any, tolerance: float) -> None:
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def test_the_tpus_kernel_attends_as_the_plain_form(monkeypatch: pytest.MonkeyPatch):
    # Interpreted on a CPU, in blocks that these rows have several of.
    interpreted = functools.partial(splash.make_splash_mha, interpret=True)
    monkeypatch.setattr(splash, "make_splash_mha", interpreted)
    monkeypatch.setattr(fused_attention, "_BLOCK", 128)
    monkeypatch.setattr(attention, "LONG", 64)
    found = objective("splash", cap=5.0)(arguments())
    assert_same(found, objective("plain", cap=5.0)(arguments()), 1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (2, 4)])
def test_cudnn_is_given_what_the_plain_form_reads(
    monkeypatch: pytest.MonkeyPatch, grid: tuple[int, int]
):
    """On one device; on some that split the heads, and on more than split them."""
    # The same function, by XLA in the place of cuDNN.
    dot_product_attention = jax.nn.dot_product_attention

    def by_xla(*args: Any, implementation: str, **options: Any) -> Array:
        assert implementation == "cudnn"
        return dot_product_attention(*args, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", by_xla)
    mesh = make_mesh(*grid, devices=jax.devices()[: math.prod(grid)])
    found = objective("cudnn", mesh=mesh)(arguments())
    assert_same(found, objective("plain")(arguments()), 1e-5)


@pytest.fixture
def a_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has JAX believe that the cuDNN of the GPU to lower for is there."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)


def lowered_for_cuda(function: Any, *given: Any) -> str:
    return function.trace(*given).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.usefixtures("a_cudnn")
def test_on_a_gpu_cudnn_attends_both_ways_and_no_scores_are_written():
    step = objective("cudnn")
    text = lowered_for_cuda(step, arguments("bfloat16"))
    assert "__cudnn$fmhaScaleBiasSoftmax(" in text
    assert "__cudnn$fmhaScaleBiasSoftmaxBackward(" in text
    # Lengths are filled up to 152 and 160 for it, and there are 4 heads, 2 to a key.
    scores = [f"{ROWS}x{heads}" for heads in ("4x152x160x", "4x150x155x", "2x300x155x")]
    assert not [shape for shape in scores if f"tensor<{shape}" in text]
    plain = lowered_for_cuda(objective("plain"), arguments("bfloat16"))
    assert "__cudnn" not in plain
    assert [shape for shape in scores if f"tensor<{shape}" in plain]


@pytest.mark.usefixtures("a_cudnn")
@pytest.mark.parametrize("case", ["gate", "bias", "dropout", "one query"])
def test_what_a_kernel_does_not_take_is_attended_without_it(case: str):
    queries, keys, values, *_ = arguments("bfloat16")
    part, key = Part(keys, values), None
    if case == "gate":
        part = part._replace(gate=Gate(jnp.zeros((ROWS, HEADS))))
        part = [part, Part(keys, values)]
    elif case == "bias":
        part = part._replace(bias=jnp.zeros((HEADS, LENGTH, LENGTH)))
    elif case == "dropout":
        key = jax.random.key(0)
    else:
        queries = queries[:, :1]
    parts = part if isinstance(part, list) else [part]

    def function(queries: Array) -> Array:
        return attend(queries, parts, dropout=0.5, dropout_key=key, form="cudnn")

    assert "__cudnn" not in lowered_for_cuda(jax.jit(function), queries)


def test_the_plain_form_is_never_chunked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "LONG", 64)

    def loops(form: AttentionForm) -> int:
        return str(jax.make_jaxpr(objective(form))(arguments())).count("scan[")

    assert loops("plain") == 0
    assert loops("chunked") > 0


def test_a_tpu_has_the_kernel_compiled_and_keeps_no_scores():
    pytest.importorskip("libtpu", reason="it comes with the extra `plan`")
    from jaxprompt.plan.chips import parse_slice
    from jaxprompt.plan.estimate import QUICKLY, without_cache

    # Rows and heads are split, as no compiler would split a kernel.
    mesh = make_mesh(2, 2, devices=parse_slice("v5e:2x2").devices())
    length, heads, groups, width = 2200, 4, 2, 64
    place = jax.NamedSharding(mesh, jax.P(DATA, None, MODEL, None))

    def shape(count: int) -> jax.ShapeDtypeStruct:
        sizes = (2, length, count, width)
        return jax.ShapeDtypeStruct(sizes, jnp.bfloat16, sharding=place)

    def loss(queries: Array, keys: Array, values: Array) -> Array:
        ones = jnp.ones((2, length), jnp.int32)
        part = Part(keys, values, segment_mask(ones, ones, causal=True))
        found = attend(queries, [part], cap=5.0, form="splash", mesh=mesh)
        return found.astype(jnp.float32).sum()

    given = [shape(heads), shape(groups), shape(groups)]
    step = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    with jax.default_matmul_precision(None), without_cache():
        compiled = step.lower(*given).compile(compiler_options=QUICKLY)
    text = compiled.as_text()
    assert text.count("tpu_custom_call") >= 3
    assert not [name for name in ("all-gather", "all-to-all") if f"{name}(" in text]
