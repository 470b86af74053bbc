"""Small random decoders, prompts of all kinds, and what a whole pass answers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.evaluate.draw import draw
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gemma import Gemma3Config
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.join import embed
from jaxprompt.prompts.prompt import Prompt, make_deep, make_prompt
from jaxprompt.serve.slots.engine import Sampling
from jaxprompt.shapes import Params

VOCAB, LONGEST = 60, 48
GPT2 = GPT2Config(
    vocab_size=VOCAB, width=16, heads=4, layers=2, positions=64, ffn_width=24
)
GEMMA = Gemma3Config(
    vocab_size=VOCAB,
    width=16,
    heads=4,
    kv_heads=2,
    head_width=8,
    ffn_width=24,
    positions=64,
    theta=100.0,
    layers=3,
    window=4,
    sliding=(True, False, True),
    query_scalar=8.0,
)
"""Layers that slide, so that a prompt in front of a text ages and a deep one does not.
"""


def draw_params(config) -> Params:
    """Draws weights of every leaf by NumPy, which compiles nothing."""
    drawing = np.random.default_rng(0)

    def weights(path, leaf):
        scale = 0.3 if leaf.ndim < 3 else leaf.shape[-2] ** -0.5
        mean = 1.0 if "scale" in jax.tree_util.keystr(path) else 0.0
        return jnp.asarray(drawing.normal(mean, scale, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(Decoder(config).init, jax.random.key(0))
    params = jax.tree_util.tree_map_with_path(weights, shapes)
    table = params["embedding"].at[config.vocab_size :].set(0)
    return {**params, "embedding": table}


def draw_prompt(
    backbone: Decoder,
    soft: int,
    deep: int = 0,
    seed: int = 0,
    *,
    layers=None,
    gated: bool = False,
) -> Prompt:
    """Draws a prompt of so many soft tokens, and so many keys and values."""
    drawing = np.random.default_rng([seed, soft, deep])
    rows = drawing.normal(size=(soft, backbone.width)).astype(np.float32)
    if not deep:
        return make_prompt(jnp.asarray(rows))
    site = backbone.config.sites["decoder"]
    shape = (site.layers, deep, site.kv_heads, site.head_width)
    keys, values = (jnp.asarray(drawing.normal(size=shape)) for _ in range(2))
    gate = None
    if gated:
        heads = backbone.config.heads
        gate = jnp.asarray(drawing.normal(size=(site.layers, heads)), jnp.float32)
    found = make_deep(keys, values, layers, gate=gate)
    return make_prompt(jnp.asarray(rows), {"decoder": found})


def behind(backbone: Decoder, prompt: Prompt | None, ids: list[int]) -> list[int]:
    """Returns a text's ids behind all soft tokens of a prompt."""
    return [*_soft(backbone, prompt), *ids]


def lead_of(backbone: Decoder, prompt: Prompt | None) -> list[int]:
    """Returns all soft tokens but the last one, which stands in the row."""
    return _soft(backbone, prompt)[:-1]


def _soft(backbone: Decoder, prompt: Prompt | None) -> list[int]:
    length = 0 if prompt is None else prompt.length
    return [backbone.vocab_rows + number for number in range(length)]


def whole_pass(backbone, params, prompt, row, count, how=None) -> list[int]:
    """Writes an answer without any cache: each token by a pass over all before it."""
    rows = prompt.rows if prompt is not None else jnp.zeros((1, 0, backbone.width))
    prefix = None
    if prompt is not None and prompt.deep:
        deep = prompt.deep["decoder"]
        keys, values = (x.swapaxes(0, 1) for x in (deep.keys, deep.values))
        rows_of = jnp.zeros(1, jnp.int32)
        gate = None if deep.gate is None else deep.gate.swapaxes(0, 1)
        prefix = Prefix(
            keys, values, rows_of, gate=gate, layers=deep.layers, in_front=False
        )
    row = [*row]
    for index in range(count):
        padded = np.zeros((1, LONGEST), np.int32)
        padded[0, : len(row)] = row
        log_probs = _log_probs(backbone, params, rows, padded, prefix, len(row))
        if how is None:
            row.append(int(jnp.argmax(log_probs)))
            continue
        key = jax.random.fold_in(jax.random.key(how.seed), how.choice)
        row.append(int(_draw(log_probs, jax.random.fold_in(key, index), how)))
    return row[-count:]


def _draw(log_probs, key, how: Sampling):
    drawn = draw(
        log_probs[None],
        key[None],
        top_p=how.top_p,
        temperature=how.temperature,
        top_k=jnp.array([[how.top_k or VOCAB]]),
    )
    return drawn[0]


@functools.partial(jax.jit, static_argnums=0)
def _log_probs(backbone, params, rows, ids, prefix, count):
    prefixes = None if prefix is None else {"decoder": prefix}
    x = embed(backbone.table(params), Prompt(rows), ids, jnp.zeros(1, jnp.int32))
    segments = (jnp.arange(LONGEST)[None] < count).astype(jnp.int32)
    none = Tokens(x[:, :0], segments[:, :0])
    logits = backbone.logits(params, none, Tokens(x, segments), prefix=prefixes)
    return jax.nn.log_softmax(logits[0, count - 1])


def with_dtype(config, dtype: str) -> Decoder:
    return dataclasses.replace(Decoder(config), dtype=dtype)
