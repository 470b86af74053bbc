"""Small random GPT-2s, as folders that PyTorch transformers wrote."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.prefix import Prefixes
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params

VOCAB, WIDTH, HEADS, LAYERS, POSITIONS = 61, 32, 4, 3, 48


def write_pytorch(folder: Path, **settings: Any) -> Any:
    """Saves a random GPT2LMHeadModel, whose norms and biases do something too."""
    import torch
    import transformers

    sizes = {
        "vocab_size": VOCAB,
        "n_positions": POSITIONS,
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    torch.manual_seed(0)
    config = transformers.GPT2Config(**{**sizes, **settings})
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.2 * torch.randn_like(weights))
    model.save_pretrained(folder)
    return model


@dataclasses.dataclass(frozen=True)
class Rows:
    """Embedded rows; the number of each example within its row, 0 on padding."""

    x: jax.Array
    input_segments: jax.Array
    y: jax.Array
    target_segments: jax.Array

    def logits(
        self, backbone: Decoder, params: Params, prefix: Prefixes | None = None
    ) -> np.ndarray:
        """What the targets' own positions score, [tokens, V]."""
        found = _logits(backbone)(params, *self.tokens, prefix)
        return np.asarray(found)[np.asarray(self.target_segments) > 0]

    @property
    def source(self) -> Tokens:
        return Tokens(self.x, self.input_segments)

    @property
    def tokens(self) -> tuple[Tokens, Tokens]:
        """Source and target."""
        return self.source, Tokens(self.y, self.target_segments)


@functools.cache
def _logits(backbone: Decoder):
    return jax.jit(
        lambda params, *rows: backbone.logits(params, *rows[:-1], prefix=rows[-1])
    )


def rows_of(
    params: Params,
    sources: list[list[np.ndarray]],
    targets: list[list[np.ndarray]],
    lengths: tuple[int, int],
    *,
    pad: str = "right",
) -> Rows:
    """Lays examples out in rows; each ids array is an example's source or target."""

    def lay_out(rows, length):
        ids = np.zeros((len(rows), length), np.int32)
        segments = np.zeros_like(ids)
        for b, examples in enumerate(rows):
            flat = np.concatenate([np.asarray(e, np.int32) for e in examples])
            numbers = np.concatenate(
                [np.full(len(e), n) for n, e in enumerate(examples, start=1)]
            )
            room = length - len(flat)
            start = {"right": 0, "left": room, "middle": 0}[pad]
            places = np.arange(start, start + len(flat))
            if pad == "middle":
                places[len(flat) // 2 :] += room
            ids[b, places], segments[b, places] = flat, numbers
        return params["embedding"][ids], jnp.asarray(segments)

    return Rows(*lay_out(sources, lengths[0]), *lay_out(targets, lengths[1]))


TINY = GPT2Config(
    vocab_size=VOCAB, width=16, heads=2, ffn_width=32, layers=2, positions=POSITIONS
)


def draw_params(config: GPT2Config = TINY) -> Params:
    """Draws weights of every leaf by NumPy, which compiles nothing."""
    draw = np.random.default_rng(0)

    def weights(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        scale = 0.3 if leaf.ndim < 3 else leaf.shape[-2] ** -0.5
        mean = 1.0 if "scale" in jax.tree_util.keystr(path) else 0.0
        return jnp.asarray(draw.normal(mean, scale, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(Decoder(config).init, jax.random.key(0))
    params = jax.tree_util.tree_map_with_path(weights, shapes)
    table = params["embedding"].at[config.vocab_size :].set(0)
    return {**params, "embedding": table}
