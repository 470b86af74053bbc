"""T5 in a T5X checkpoint folder: a msgpack index, large tensors beside it in zarr."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.models.t5_config import T5Config
from jaxprompt.models.weights.checkpoint import Checkpoint
from jaxprompt.models.weights.source import Source
from jaxprompt.models.weights.t5x_index import (
    INDEX,
    PROMPT,
    open_leaves,
    read_index,
)

# Bytes that a byte of gzip can stand for. Source: zlib's technical details.
_MOST_PACKED = 1032
_EMBEDDING = "token_embedder.embedding"
_HEAD = "decoder.logits_dense.kernel"
_BIAS = "encoder.relpos_bias.rel_embedding"
# Of each stack: our name, T5X's name, and T5X's name of the norm before it.
_PARTS = {
    "encoder": (("attention", "attention", "pre_attention_layer_norm"),),
    "decoder": (
        ("attention", "self_attention", "pre_self_attention_layer_norm"),
        ("cross", "encoder_decoder_attention", "pre_cross_attention_layer_norm"),
    ),
}


def is_checkpoint(folder: Path) -> bool:
    """Tells whether a folder is a T5X checkpoint."""
    return (folder / INDEX).is_file()


def open_checkpoint(folder: Path) -> Checkpoint:
    """Opens a T5X checkpoint of a model whose layers are not scanned.

    Every size comes from the shapes of the tensors. What shapes cannot say is as in
    all published T5X models: tanh GELU where there is a gate, else ReLU; output
    scaled where it is tied; distances up to 128 tokens.

    Args:
        folder: Holds `checkpoint` and the folders `target.*`.

    A prompt that is in it is left where it is.

    Raises:
        ValueError: If the index cannot be read, or the tensors are not those of a T5.
    """
    tensors = _T5XTensors(folder)
    config = _config(tensors.shapes, folder)
    return Checkpoint(folder, config, tensors, sources_of(config), frozenset((PROMPT,)))


def sources_of(config: T5Config) -> dict[str, Source]:
    """Returns the names that T5X gives to each leaf of the params."""
    sources = {"embedding": Source((_EMBEDDING,))}
    if not config.tied:
        sources["logits"] = Source((_HEAD,))
    ffn = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    ffn["down"] = "wo"
    counts = {"encoder": config.encoder_layers, "decoder": config.decoder_layers}
    for stack, count in counts.items():
        layer_names = [f"{stack}.layers_{n}" for n in range(count)]
        for ours, theirs, norm in (
            *_PARTS[stack],
            ("ffn", "mlp", "pre_mlp_layer_norm"),
        ):
            at = f"{stack}/layers/{ours}"
            leaves = {
                f"{at}_norm": f"{norm}.scale",
                **(
                    {
                        f"{at}/{leaf}": f"{theirs}.{name}.kernel"
                        for leaf, name in ffn.items()
                    }
                    if ours == "ffn"
                    else {
                        f"{at}/{leaf}": f"{theirs}.{leaf}.kernel"
                        for leaf in ("query", "key", "value", "out")
                    }
                ),
            }
            for leaf, name in leaves.items():
                names = tuple(f"{layer}.{name}" for layer in layer_names)
                sources[leaf] = Source(names, stacked=True)
        sources[f"{stack}/relative_bias"] = Source(
            (f"{stack}.relpos_bias.rel_embedding",), transposed=True
        )
        sources[f"{stack}/final_norm"] = Source((f"{stack}.{stack}_norm.scale",))
    return sources


def _config(shapes: Mapping[str, tuple[int, ...]], folder: Path) -> T5Config:
    def layer_count(stack: str) -> int:
        start = f"{stack}.layers_"
        return len({name.split(".")[1] for name in shapes if name.startswith(start)})

    gated = "encoder.layers_0.mlp.wi_0.kernel" in shapes
    up = f"encoder.layers_0.mlp.{'wi_0' if gated else 'wi'}.kernel"
    query = "encoder.layers_0.attention.query.kernel"
    missing = [name for name in (_EMBEDDING, _BIAS, query, up) if name not in shapes]
    if missing:
        raise ValueError(
            f"{folder} has no {', '.join(missing)}: it is no T5X checkpoint of a T5 "
            "with separate layers (scanned ones: convert them with T5X first)"
        )
    for name in (_EMBEDDING, _BIAS, query, up):
        if len(shapes[name]) != 2 or 0 in shapes[name]:
            raise ValueError(
                f"{folder}: {name} has shape {shapes[name]}, where a T5 has a matrix: "
                "fetch the whole checkpoint folder again"
            )
    (vocab_rows, width), (heads, buckets) = shapes[_EMBEDDING], shapes[_BIAS]
    tied = _HEAD not in shapes
    try:
        return T5Config(
            vocab_rows=vocab_rows,
            width=width,
            heads=heads,
            head_width=shapes[query][1] // heads,
            ffn_width=shapes[up][1],
            encoder_layers=layer_count("encoder"),
            decoder_layers=layer_count("decoder"),
            gated=gated,
            activation="gelu_new" if gated else "relu",
            tied=tied,
            scaled_logits=tied,
            buckets=buckets,
        )
    except ValueError as err:
        raise ValueError(f"{folder}: {err}") from err


def _check_files(name: str, array: Any, folder: Path) -> None:
    """Refuses a zarr folder whose files cannot hold the shape that it claims.

    A missing chunk would be read as zeros, which no weight that trained is.
    """
    found = [p for p in folder.rglob("*") if p.is_file() and not _is_metadata(p)]
    wanted = math.prod(
        -(-size // chunk)
        for size, chunk in zip(
            array.shape, array.chunk_layout.read_chunk.shape, strict=True
        )
    )
    if len(found) < wanted:
        raise ValueError(
            f"{folder} has {len(found)} files of the {wanted} that {name} of shape "
            f"{tuple(array.shape)} has: fetch the whole checkpoint folder again"
        )
    claimed = math.prod(array.shape) * array.dtype.numpy_dtype.itemsize
    held = _MOST_PACKED * sum(path.stat().st_size for path in found)
    if claimed > held:
        raise ValueError(
            f"{folder}: {name} of shape {tuple(array.shape)} has {claimed} bytes, but "
            f"its files unpack to {held} at most: fetch the whole checkpoint folder "
            "again"
        )


def _is_metadata(path: Path) -> bool:
    return path.name.startswith(".")


class _T5XTensors:
    """Small tensors lie in the index itself, large ones in a zarr folder each."""

    def __init__(self, folder: Path) -> None:
        self.files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._arrays = open_leaves(folder, read_index(folder))
        for name, array in self._arrays.items():
            if not isinstance(array, np.ndarray):
                _check_files(name, array, folder / f"target.{name}")
        self.shapes = {name: tuple(array.shape) for name, array in self._arrays.items()}

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        part = self._arrays[name][index]
        return part if isinstance(part, np.ndarray) else part.read().result()
