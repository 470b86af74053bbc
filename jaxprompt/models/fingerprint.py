"""The identity of a checkpoint: one hash that its file format and dtype leave alone."""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np

from jaxprompt.shapes import Params

T5_LEAVES = (
    "embedding",
    "encoder/layers/attention_norm",
    "encoder/layers/ffn_norm",
    "encoder/final_norm",
    "decoder/layers/attention_norm",
    "decoder/layers/cross_norm",
    "decoder/layers/ffn_norm",
    "decoder/final_norm",
)
"""What is hashed of a T5, in this order: cheap to read, and all of it trains."""

GPT2_LEAVES = (
    "embedding",
    "positions",
    "layers/attention_norm/scale",
    "layers/attention_norm/bias",
    "layers/ffn_norm/scale",
    "layers/ffn_norm/bias",
    "final_norm/scale",
    "final_norm/bias",
)
"""What is hashed of a GPT-2; of the table, the rows that the checkpoint has."""


def fingerprint(
    read: Callable[[str], Iterable[np.ndarray]], leaves: Sequence[str] = T5_LEAVES
) -> str:
    """Hashes the embedding table and the norms as little-endian float32.

    Args:
        read: Gives the pieces of one of the leaves, in order, in the stored dtype.
        leaves: What is hashed, in this order.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for leaf in leaves:
        for piece in read(leaf):
            digest.update(np.ascontiguousarray(piece, "<f4").tobytes())
    return digest.hexdigest()


def fingerprint_of_params(params: Params, leaves: Sequence[str] = T5_LEAVES) -> str:
    """Hashes weights in memory; cast to another dtype, they hash otherwise."""

    def read(leaf: str) -> Iterable[np.ndarray]:
        value = params
        for key in leaf.split("/"):
            value = value[key]
        return [np.asarray(jax.device_get(value))]

    return fingerprint(read, leaves)
