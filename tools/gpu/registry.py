"""What tools/gpu/check.py tries: the models, the prompts, and the shape of a batch."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.data.rows.layout import Layout
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import Config
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.parameters import NORM, kind_of
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params

MODELS: Mapping[str, Config] = MappingProxyType(
    {
        "T5 1.1 large": PUBLISHED["google/t5-v1_1-large"],
        "T5 1.1 XL": PUBLISHED["google/t5-v1_1-xl"],
        "GPT-2 XL": PUBLISHED["openai-community/gpt2-xl"],
        "SmolLM2 1.7B": PUBLISHED["HuggingFaceTB/SmolLM2-1.7B"],
        "Llama 3 8B": PUBLISHED["meta-llama/Meta-Llama-3-8B"],
    }
)
"""Name in the table -> sizes. A new family joins by a line here."""

TINY_MODELS = ("T5 1.1 large", "Llama 3 8B")
"""Those that `--tiny` tries, with the sizes of `shrunk`."""


def _draw_rows(backbone: Backbone, length: int) -> Prompt:
    rows = np.random.default_rng(1).normal(size=(length, backbone.width))
    return make_prompt(jnp.asarray(0.02 * rows, jnp.float32))


PROMPTS: Mapping[str, Callable[[Backbone, int], Prompt]] = MappingProxyType(
    {"prompt": _draw_rows}
)
"""Kind of prompt -> how one of length P is drawn. A new kind joins by a line here."""

_SHRUNK: Mapping[str, Any] = MappingProxyType(
    {
        "vocab_rows": 256,
        "vocab_size": 250,
        "width": 32,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 8,
        "ffn_width": 48,
        "layers": 2,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "positions": 128,
        "bos_token_id": None,
        "eos_token_id": 1,
    }
)


class Settings(NamedTuple):
    """How everything is tried.

    Attributes:
        tiny: Whether models are shrunk, and products small.
        batch_size: Rows B of a batch.
        input_length: Tokens of the text in a row.
        target_length: Target tokens L of a row.
        prompts: Prompt lengths P that a train step is timed with; the last one is
            that of all else.
        remat: What the backward pass computes again.
        rounds: Most repetitions that are timed.
    """

    tiny: bool
    batch_size: int
    input_length: int
    target_length: int
    prompts: tuple[int, ...]
    remat: Literal["none", "dots", "full"] = "dots"
    rounds: int = 20

    def config(self, model: str) -> Config:
        """Returns the sizes of a model of the registry, as they are to be tried."""
        return shrunk(MODELS[model]) if self.tiny else MODELS[model]


def shrunk(config: Config) -> Config:
    """Returns a model of the same family and switches with a few thousand weights."""
    present = {field.name for field in dataclasses.fields(config)}
    sizes = {name: size for name, size in _SHRUNK.items() if name in present}
    return dataclasses.replace(config, **sizes)


def weight_bytes(config: Config, itemsize: int = 2) -> int:
    """Counts the bytes of a model's weights; no device is needed."""
    return sum(leaf.size for leaf in jax.tree.leaves(shapes_of(config))) * itemsize


def draw_weights(backbone: Backbone) -> Params:
    """Draws random weights on the device, in the backbone's dtype; norms are 1."""
    shapes = shapes_of(backbone.config)
    leaves, tree = jax.tree.flatten_with_path(shapes)
    wanted = tuple((_is_norm(path), leaf.shape) for path, leaf in leaves)
    return jax.tree.unflatten(tree, _draw_leaves(wanted, backbone.dtype))


def _is_norm(path: jax.tree_util.KeyPath) -> bool:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return kind_of(name) is NORM and not name.endswith("/bias")


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw_leaves(
    wanted: tuple[tuple[bool, tuple[int, ...]], ...], dtype: str
) -> list[jax.Array]:
    state, leaves = jnp.arange(4, dtype=jnp.uint32), []
    for is_norm, shape in wanted:
        if is_norm:
            leaves.append(jnp.ones(shape, dtype))
            continue
        # One operation, where `jax.random` takes hundreds: it compiles at once.
        state, bits = jax.lax.rng_bit_generator(state, shape, jnp.uint32)
        uniform = bits.astype(jnp.float32) * 2.0**-31 - 1.0
        scale = (3.0 / shape[-2]) ** 0.5 if len(shape) > 1 else 1.0
        leaves.append((scale * uniform).astype(dtype))
    return leaves


ROOM = 0.85
"""Share of a device's memory that weights may take: a step needs some besides."""


def why_not(config: Config, memory: int) -> str | None:
    """Says why a model in bfloat16 is not tried on a device; None if it may fit."""
    weights = weight_bytes(config)
    if weights <= ROOM * memory:
        return None
    return (
        f"its weights take {weights / 1e9:.1f} GB in bfloat16, more than {ROOM:.0%} of "
        f"the device's {memory / 1e9:.1f} GB: not tried"
    )


def draw_pairs(config: Config, rows: int, inputs: int, targets: int) -> list[Pair]:
    """Draws rows of token ids, as long as may be, without padding."""
    rng = np.random.default_rng(0)

    def ids(length: int) -> np.ndarray:
        return rng.integers(3, config.text_rows, length).astype(np.int32)

    return [Pair(ids(inputs), ids(targets)) for _ in range(rows)]


def make_batch(
    backbone: Backbone,
    pairs: list[Pair],
    prompt_length: int,
    extra: int = 0,
    *,
    folds: bool = True,
) -> Batch:
    """Lays pairs out behind a prompt, a row for each, as training does.

    Args:
        backbone: The model's functions.
        pairs: Token ids of each row.
        prompt_length: Length P of the prompt.
        extra: Tokens of padding behind the longest inputs and targets.
        folds: Whether a decoder reads soft tokens once for all rows.
    """
    lengths = Lengths(
        max(len(pair.inputs) for pair in pairs) + extra,
        max(len(pair.targets) for pair in pairs) + extra,
    )
    soft_ids, causal = prefix(backbone.vocab_rows, prompt_length), backbone.causal
    lead = tuple(soft_ids[:-1].tolist()) if causal and folds else ()
    layout = Layout(lengths, soft_ids, continues=causal, end=1, lead=lead)
    return jax.tree.map(jnp.asarray, layout.padded(pairs))
