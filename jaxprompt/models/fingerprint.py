"""The identity of a checkpoint: one hash that its file format and dtype leave alone."""

import hashlib
from collections.abc import Callable, Iterable

import jax
import numpy as np

from jaxprompt.shapes import Params

LEAVES = (
    "embedding",
    "encoder/layers/attention_norm",
    "encoder/layers/ffn_norm",
    "encoder/final_norm",
    "decoder/layers/attention_norm",
    "decoder/layers/cross_norm",
    "decoder/layers/ffn_norm",
    "decoder/final_norm",
)
"""What is hashed, in this order: cheap to read, and training moves all of it."""


def fingerprint(read: Callable[[str], Iterable[np.ndarray]]) -> str:
    """Hashes the embedding table and the norms as little-endian float32.

    Args:
        read: Gives the pieces of one of `LEAVES`, in order, in the stored dtype.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for leaf in LEAVES:
        for piece in read(leaf):
            digest.update(np.ascontiguousarray(piece, "<f4").tobytes())
    return digest.hexdigest()


def fingerprint_of_params(params: Params) -> str:
    """Hashes weights in memory; cast to another dtype, they hash otherwise."""

    def read(leaf: str) -> Iterable[np.ndarray]:
        value = params
        for key in leaf.split("/"):
            value = value[key]
        return [np.asarray(jax.device_get(value))]

    return fingerprint(read)
