"""Any checkpoint as a table of tensors, streamed leaf by leaf to where it will live."""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.models.config import Config
from jaxprompt.models.families import family_of, make_backbone
from jaxprompt.models.fingerprint import (
    Fingerprints,
    Leaf,
    fingerprint,
    first_fingerprint,
)
from jaxprompt.models.quantise import Int8Matrix, check_quantisation, summed_axis
from jaxprompt.models.quantise import quantise as quantise_matrices
from jaxprompt.models.weights import fingerprint_cache
from jaxprompt.models.weights.leaf import read_floats, read_levels, round_to_int8
from jaxprompt.models.weights.source import Levels, Tensors, TensorSource
from jaxprompt.screen.quoting import listed
from jaxprompt.shapes import Params
from jaxprompt.sharding import RULES, Rules, shardings

_SHOWN = 6  # Names in an error; a wrong config can misfit hundreds.
_LONGEST = 240  # Characters of a tensor's name and both of its shapes.
_CHUNK_ROWS = 4096
# An odd number of cache lines: chunks of a power of two are slow to transpose, as their
# rows share a few places of the cache and drive each other out.
_CHUNK_COLUMNS = 7 * 16
# Whole blocks of every kind of packed weights, so that none is unpacked twice.
_PACKED_COLUMNS = 256


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is open for reading; making one checks that it is whole.

    Attributes:
        folder: Where it is.
        config: What its sizes say.
        tensors: What it stores.
        sources: Where each leaf of the params is stored, by path.
        extras: Tensors without a place that are known and harmless.
        name: Hub name or folder name, for provenance.
        revision: Commit of the Hub repository; None for a folder.
        vocabulary: Path of `spiece.model`, or of a folder with other vocabulary files.
        kinds: How a tensor is packed, by name, as "Q8_0"; empty where none is.
        levels: The packed tensors that int8 matrices are made of as they are.

    Raises:
        ValueError: If a tensor is missing, extra or misshapen.
    """

    folder: Path
    config: Config
    tensors: Tensors
    sources: Mapping[str, TensorSource]
    extras: frozenset[str] = frozenset()
    name: str = ""
    revision: str | None = None
    vocabulary: str | None = None
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    levels: Levels | None = None

    def __post_init__(self) -> None:
        _check_cover(self)


@functools.cache
def shapes_of(config: Config) -> Params:
    """Returns the params of a model as `jax.ShapeDtypeStruct`s, without any device.

    The tree is made once for each config: it is not to be changed.
    """
    return jax.eval_shape(lambda: make_backbone(config).init(jax.random.key(0)))


def read_params(
    checkpoint: Checkpoint,
    dtype: str,
    mesh: jax.sharding.Mesh | None,
    rules: Rules = RULES,
    *,
    quantise: str = "none",
) -> Params:
    """Reads the weights to their places; at most one leaf is in host memory twice.

    Where they become int8, at most one tensor of the checkpoint is in it as float32.
    Those that are stored as int8 levels keep their levels and the scales of their
    blocks.

    Args:
        checkpoint: What to read.
        dtype: Dtype of every leaf that does not become int8.
        mesh: Devices to spread the weights over; None for the default device.
        rules: How they are spread.
        quantise: One of `models.quantise.QUANTISATIONS`.

    Returns:
        The params of the backbone of `checkpoint.config`.

    Raises:
        ValueError: If the mesh does not divide a leaf, or the quantisation is unknown.
    """
    check_quantisation(quantise)
    shapes = shapes_of(checkpoint.config)
    if quantise == "int8":
        shapes = with_blocks(checkpoint, jax.eval_shape(quantise_matrices, shapes))
    places = None if mesh is None else shardings(shapes, mesh, rules)

    def read_leaf(path: Any, leaf: Any, place: Any = None) -> Any:
        name = _name(path)
        source = checkpoint.sources[name]
        if not isinstance(leaf, Int8Matrix):
            return read_floats(checkpoint.tensors, source, leaf.shape, dtype, place)
        if _blocks(checkpoint, source) is None:
            return round_to_int8(checkpoint.tensors, source, name, leaf, place)
        assert checkpoint.levels is not None
        return read_levels(checkpoint.levels, source, leaf, place)

    trees = (shapes,) if places is None else (shapes, places)
    return jax.tree_util.tree_map_with_path(
        read_leaf, *trees, is_leaf=lambda x: isinstance(x, Int8Matrix)
    )


def storage_note(checkpoint: Checkpoint, dtype: str, quantise: str) -> str | None:
    """Says what becomes of packed weights in memory; None where none is packed.

    Args:
        checkpoint: The checkpoint.
        dtype: Dtype of what does not become int8.
        quantise: As for `read_params`.
    """
    if not checkpoint.kinds:
        return None
    kept = {
        name
        for path, source in checkpoint.sources.items()
        if quantise == "int8" and summed_axis(path) is not None
        for name in source.names
        if _blocks(checkpoint, source) is not None
    }
    ways = {
        "kept as int8 levels": [x for x in checkpoint.kinds if x in kept],
        "rounded to int8" if quantise == "int8" else f"unpacked to {dtype}": [
            x for x in checkpoint.kinds if x not in kept
        ],
    }
    said = []
    for way, names in ways.items():
        counts = collections.Counter(checkpoint.kinds[name] for name in names)
        which = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        if names:
            said.append(f"{which} {way}")
    return f"matrices of {checkpoint.name} in memory: {'; '.join(said)}"


def _blocks(checkpoint: Checkpoint, source: TensorSource) -> int | None:
    """Returns the blocks of a row of a leaf's tensors, where all are int8 levels."""
    if checkpoint.levels is None:
        return None
    shapes = checkpoint.levels.scales.shapes
    found = {shapes[name][-1] if name in shapes else None for name in source.names}
    return found.pop() if len(found) == 1 else None


def with_blocks(checkpoint: Checkpoint, shapes: Params) -> Params:
    """Gives scales to the blocks of matrices that are stored as int8 levels.

    Args:
        checkpoint: Where they are stored.
        shapes: The params of its backbone, whose matrices are to be int8.
    """

    def of_leaf(path: Any, leaf: Any) -> Any:
        name = _name(path)
        blocks = _blocks(checkpoint, checkpoint.sources[name])
        if not isinstance(leaf, Int8Matrix) or blocks is None:
            return leaf
        sizes = list(leaf.scale.shape)
        sizes[summed_axis(name) or 0] = blocks
        scale: Any = jax.ShapeDtypeStruct(sizes, jnp.float32)
        return Int8Matrix(leaf.values, scale)

    return jax.tree_util.tree_map_with_path(
        of_leaf, shapes, is_leaf=lambda x: isinstance(x, Int8Matrix)
    )


def read_fingerprints(checkpoint: Checkpoint) -> Fingerprints:
    """Hashes the stored values, unless it is known what these files hold."""

    def read() -> Fingerprints:
        leaves = _stored_leaves(checkpoint)
        hashed = family_of(checkpoint.config).first_leaves
        return Fingerprints(fingerprint(leaves), first_fingerprint(leaves, hashed))

    return fingerprint_cache.find(checkpoint.tensors.files, read)


def _stored_leaves(checkpoint: Checkpoint) -> list[Leaf]:
    """Lists the leaves as the checkpoint has them, without the rows that we add."""
    found = []
    shapes = shapes_of(checkpoint.config)
    columns = _PACKED_COLUMNS if checkpoint.kinds else _CHUNK_COLUMNS
    for path, whole in jax.tree_util.tree_leaves_with_path(shapes):
        source = checkpoint.sources[_name(path)]
        own = range(whole.shape[0] - source.padding)
        read = functools.partial(
            _read_rows, checkpoint.tensors, source, whole, own, columns
        )
        found.append(Leaf(_name(path), (len(own), *whole.shape[1:]), read))
    return found


def _read_rows(
    tensors: Tensors,
    source: TensorSource,
    whole: jax.ShapeDtypeStruct,
    own: range,
    columns: int,
) -> Iterator[np.ndarray]:
    """Reads a leaf in row-major order, never more than one tensor of it at a time."""
    rows = range(whole.shape[1]) if source.stacked else own
    others = tuple(slice(0, size) for size in whole.shape[1 + source.stacked :])
    # Rows of a transposed matrix are columns of its tensor.
    size = columns if source.transposed else _CHUNK_ROWS
    chunks = [
        slice(start, min(start + size, rows.stop))
        for start in range(rows.start, rows.stop, size)
    ]
    for layer in own if source.stacked else [None]:
        front = () if layer is None else (slice(layer, layer + 1),)
        for chunk in chunks:
            yield from source.read(tensors, (*front, chunk, *others))


def read_table(checkpoint: Checkpoint) -> Iterator[np.ndarray]:
    """Reads the embedding table alone, as the model has it, a few thousand rows each.

    Of a large model, that is a small part.
    """
    source = checkpoint.sources["embedding"]
    rows, width = shapes_of(checkpoint.config)["embedding"].shape
    for start in range(0, rows, _CHUNK_ROWS):
        chunk = (slice(start, min(start + _CHUNK_ROWS, rows)), slice(0, width))
        yield from source.read(checkpoint.tensors, chunk)


def read_chunks(tensors: Tensors, name: str) -> Iterator[np.ndarray]:
    """Reads a tensor a few thousand rows at a time."""
    rows, *others = tensors.shapes[name]
    for start in range(0, rows, _CHUNK_ROWS):
        chunk = slice(start, min(start + _CHUNK_ROWS, rows))
        yield tensors.read(name, (chunk, *(slice(0, size) for size in others)))


def _check_cover(checkpoint: Checkpoint) -> None:
    expected = {}
    leaves = jax.tree_util.tree_leaves_with_path(shapes_of(checkpoint.config))
    for path, leaf in leaves:
        source = checkpoint.sources[_name(path)]
        expected |= dict.fromkeys(source.names, source.stored(leaf.shape))
    found = checkpoint.tensors.shapes
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected.keys() | checkpoint.extras]
    misshapen = [
        f"{name} {found[name]} where the sizes of the model say {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    family = family_of(checkpoint.config).name
    problems = [
        f"{len(names)} of {total} tensors {what}: {listed(names, _SHOWN, _LONGEST)}"
        for names, total, what in (
            (missing, len(expected), "are missing"),
            (extra, len(found), f"have no place in {family}"),
            (misshapen, len(expected), "have another shape"),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f"{checkpoint.folder} does not hold this {family}: {'; '.join(problems)}. "
            f"Take config and weights from one {family} checkpoint"
        )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
