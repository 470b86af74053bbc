"""The identity of a checkpoint: a hash of every weight, whatever its file format."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

VERSION = "2:"
"""What a fingerprint of every weight begins with."""

# Threads each hold a part of one tensor; more than a few wait for the disk.
_MOST_THREADS = 8
# Side of the squares by which a transposed matrix is copied: they fit a core's cache.
_SQUARE = 256


class Leaf(NamedTuple):
    """One leaf of the params of a checkpoint.

    Attributes:
        path: Its place in the tree of the params, as "encoder/layers/ffn/up".
        shape: Its shape, without rows that only our layout adds.
        read: Gives its values in row-major order, in pieces of any size and dtype.
    """

    path: str
    shape: tuple[int, ...]
    read: Callable[[], Iterable[np.ndarray]]


class Fingerprints(NamedTuple):
    """What identifies a checkpoint now, and by the rule of earlier prompt files.

    Attributes:
        current: Of every weight; it begins with `VERSION`.
        first: Of version 1, which saw the embeddings and the norms only.
    """

    current: str
    first: str


def fingerprint(leaves: Iterable[Leaf]) -> str:
    """Hashes the name, the shape and every value of every leaf.

    Equal are copies of one model in any file format, layout or dtype that hold the same
    numbers: Hugging Face and T5X, whole or sharded files, float32 and a bfloat16 that
    lost nothing. The dtype that a model is loaded in, int8 too, changes nothing, as the
    stored values are hashed.

    Different are copies whose numbers differ in any bit of float32: one rounded to
    bfloat16 or float16, 0.0 and -0.0, or a table that has more or fewer rows,
    padded ones included. config.json and the vocabulary are not hashed.

    Args:
        leaves: All leaves, in any order.

    Returns:
        `VERSION` and a SHA-256 in hexadecimal: of a line for each leaf, in the order of
        their paths, that says its path, its shape and the SHA-256 of its values as
        little-endian float32 in row-major order.
    """
    ordered = sorted(leaves, key=lambda leaf: leaf.path)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as threads:
        digests = list(threads.map(lambda leaf: _sha256(leaf.read()), ordered))
    lines = (
        f"{leaf.path} {','.join(map(str, leaf.shape))} {digest}\n"
        for leaf, digest in zip(ordered, digests, strict=True)
    )
    return VERSION + hashlib.sha256("".join(lines).encode()).hexdigest()


def is_of_every_weight(fingerprint: str) -> bool:
    """Whether a fingerprint is of the current version, not of version 1."""
    return fingerprint.startswith(VERSION)


def first_fingerprint(leaves: Iterable[Leaf], hashed: Sequence[str]) -> str:
    """Hashes the embeddings and the norms, as version 1 did.

    Args:
        leaves: As for `fingerprint`.
        hashed: Paths of leaves; see `families.family.Family.first_leaves`.

    Returns:
        SHA-256 in hexadecimal of their values, one leaf behind the other.
    """
    by_path = {leaf.path: leaf for leaf in leaves}
    return _sha256(piece for path in hashed for piece in by_path[path].read())


def _sha256(pieces: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        for part in _row_major(piece):
            digest.update(part.data)
    return digest.hexdigest()


def _row_major(piece: np.ndarray) -> Iterator[np.ndarray]:
    """Gives the values as contiguous little-endian float32; NumPy is slow at `.T`."""
    if piece.ndim != 2 or piece.flags.c_contiguous:
        yield np.ascontiguousarray(piece, "<f4")
        return
    rows, columns = piece.shape
    for start in range(0, rows, _SQUARE):
        band = piece[start : start + _SQUARE]
        part = np.empty(band.shape, "<f4")
        for left in range(0, columns, _SQUARE):
            square = slice(left, left + _SQUARE)
            part[:, square] = band[:, square]
        yield part
