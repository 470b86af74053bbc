"""GGUF files of any family: each is read as the Hugging Face folder it was made of."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.models.families import FAMILIES
from jaxprompt.models.families.family import GGUF, Family
from jaxprompt.models.families.forms.gguf_facts import Facts
from jaxprompt.models.weights.checkpoint import Checkpoint
from jaxprompt.models.weights.gguf_head import KINDS, Metadata, Place
from jaxprompt.models.weights.gguf_parts import read_parts
from jaxprompt.models.weights.source import Levels
from jaxprompt.screen.quoting import quoted, quoted_path

_DIVISORS = "rope_freqs.weight"
"""What each rotary frequency is divided by, where the model scales them so."""

_BLOCK = 32
"""Weights of a block of the kinds that are int8 levels behind a float16 scale."""

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def open_checkpoint(path: Path) -> Checkpoint:
    """Opens a GGUF file.

    Args:
        path: The file, or the first of several.

    Raises:
        FileNotFoundError: If there is no such file, or one of several is absent.
        ValueError: If it is no whole GGUF file, is of an architecture that cannot be
            read, or a tensor is missing, extra or misshapen.
    """
    parts = read_parts(path)
    metadata, files = parts[0].head.metadata, [part.path for part in parts]
    family, form = _form_of(metadata, path)
    places = {
        name: place._replace(file=number)
        for number, part in enumerate(parts)
        for name, place in part.head.places.items()
    }
    shapes = {name: place.shape for name, place in places.items()}
    divisors = _read_divisors(files, places.get(_DIVISORS))
    settings = form.read_settings(Facts(path, metadata, shapes, divisors))
    tensors = _GGUFTensors(files, places, form, settings)
    config = family.hugging_face.read_config(settings, path, tensors)
    layout = family.hugging_face.layout(config, tensors.shapes)
    return Checkpoint(
        path,
        config,
        tensors,
        layout.sources,
        layout.unused.union(layout.copies, (_DIVISORS,)),
        vocabulary=str(path),
        kinds=tensors.kinds,
        levels=Levels(_LevelTensors(tensors), _ScaleTensors(tensors)),
    )


def _form_of(metadata: Metadata, path: Path) -> tuple[Family, GGUF]:
    """Returns the family whose architecture a file names."""
    kind = metadata.get("general.type", "model")
    if kind != "model":
        raise ValueError(
            f"{quoted_path(path)} holds no model: its general.type is {quoted(kind)}; "
            "give the GGUF file of the model itself"
        )
    named = metadata.get("general.architecture")
    forms = [(family, form) for family in FAMILIES for form in family.gguf]
    for family, form in forms:
        if form.architecture == named:
            return family, form
    known = ", ".join(form.architecture for _, form in forms)
    raise ValueError(
        f"{quoted_path(path)}: general.architecture {quoted(named)} is none of those "
        f"that can be read: {known}; use a model of one of these"
    )


class _Tensor(NamedTuple):
    """One tensor of the file, and how it differs from the folder's.

    Attributes:
        place: Where it lies.
        pair_heads: Heads whose rows lie in pairs; 0 where rows lie as in the folder.
        above: How much larger its values are than the folder's.
    """

    place: Place
    pair_heads: int = 0
    above: float = 0.0


class _GGUFTensors:
    """The tensors of a model's files by the names and in the layout of Hugging Face.

    They are dequantised as they are read, the rows and the blocks that are wanted.
    """

    def __init__(
        self,
        files: Sequence[Path],
        places: Mapping[str, Place],
        form: GGUF,
        settings: Mapping[str, Any],
    ) -> None:
        self.files = files
        self._contents = [np.memmap(file, np.uint8, mode="r") for file in files]
        self._tensors: dict[str, _Tensor] = {}
        for name, place in places.items():
            path = files[place.file]
            theirs, tensor = _as_in_folder(name, place, form, settings, path)
            self._tensors[theirs] = tensor
        self.shapes = {name: x.place.shape for name, x in self._tensors.items()}

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each packed matrix."""
        kinds = {name: KINDS[x.place.kind] for name, x in self._tensors.items()}
        return {name: kind for name, (kind, block, _) in kinds.items() if block > 1}

    @property
    def in_levels(self) -> dict[str, tuple[int, ...]]:
        """The shape of each matrix that is stored as int8 levels."""
        return {
            name: x.place.shape
            for name, x in self._tensors.items()
            if x.place.kind in _LEVELS and len(x.place.shape) == 2 and not x.above
        }

    def read_blocks(self, name: str, rows: slice, blocks: slice) -> np.ndarray:
        """Returns blocks of some rows as they are packed, uint8."""
        tensor = self._tensors[name]
        where = _rows(tensor, rows, tensor.place.shape[0])
        return _blocks(self._content(tensor.place), tensor.place)[where, blocks]

    def levels_of(self, name: str, packed: np.ndarray) -> np.ndarray:
        """Returns the int8 levels in blocks of a tensor."""
        return _LEVELS[self._tensors[name].place.kind](packed)

    def _content(self, place: Place) -> np.ndarray:
        return self._contents[place.file]

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        tensor = self._tensors[name]
        place = tensor.place
        content = self._content(place)
        if len(place.shape) == 1:
            # A bias or a norm: one row, whose features are the rows of its matrix.
            whole = _unpack(content, place, slice(0, 1), slice(0, *place.shape))
            part = whole[0, _rows(tensor, index[0], *place.shape)]
        else:
            rows = _rows(tensor, index[0], place.shape[0])
            part = _unpack(content, place, rows, index[1])
        return part - np.float32(tensor.above) if tensor.above else part


class _LevelTensors:
    """The int8 levels of those tensors that have them."""

    def __init__(self, tensors: _GGUFTensors) -> None:
        self._tensors = tensors
        self.files = tensors.files
        self.shapes = tensors.in_levels

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        rows, columns = index
        first, last = columns.start // _BLOCK, -(-columns.stop // _BLOCK)
        packed = self._tensors.read_blocks(name, rows, slice(first, last))
        values = self._tensors.levels_of(name, packed).reshape(len(packed), -1)
        return values[:, columns.start - first * _BLOCK : columns.stop - first * _BLOCK]


class _ScaleTensors:
    """The scales of the blocks of the same tensors."""

    def __init__(self, tensors: _GGUFTensors) -> None:
        self._tensors = tensors
        self.files = tensors.files
        self.shapes = {
            name: (rows, columns // _BLOCK)
            for name, (rows, columns) in tensors.in_levels.items()
        }

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        packed = self._tensors.read_blocks(name, *index)
        scales = np.ascontiguousarray(packed[..., :2]).view("<f2")
        return scales[..., 0].astype(np.float32)


def _levels_of_q8(packed: np.ndarray) -> np.ndarray:
    return packed[..., 2:].view(np.int8)


def _levels_of_q4(packed: np.ndarray) -> np.ndarray:
    """Low halves of the bytes are the first 16 weights, high halves the others."""
    halves = packed[..., 2:] & 15, packed[..., 2:] >> 4
    return np.concatenate(halves, axis=-1).astype(np.int8) - np.int8(8)


_LEVELS = {2: _levels_of_q4, 8: _levels_of_q8}
"""Kind -> the levels in its blocks: of Q4_0 from -8 to 7, of Q8_0 all of int8.

Source: `block_q4_0` and `block_q8_0` of ggml.
"""


def _as_in_folder(
    name: str, place: Place, form: GGUF, settings: Mapping[str, Any], path: Path
) -> tuple[str, _Tensor]:
    """Returns the name that Hugging Face gives to a tensor, and how it is read."""
    begin, _, end = name.rpartition(".")
    number = _NUMBER.search(begin + ".")
    begin = _NUMBER.sub("{n}", begin + ".", count=1).removesuffix(".")
    if begin not in form.names:
        return name, _Tensor(place)
    theirs = form.names[begin]
    if number is not None:
        theirs = theirs.replace("{n}", number[0])
    heads = 0
    if begin in form.in_pairs:
        heads = settings[form.in_pairs[begin]]
        if heads < 1 or place.shape[0] % (2 * heads):
            raise ValueError(
                f"{quoted_path(path)}: {name} has {place.shape[0]} rows, which are not "
                f"{heads} heads of an even width: convert the model again"
            )
    is_norm = begin.endswith("norm") and end == "weight"
    above = 1.0 if is_norm and form.norms_above_one else 0.0
    return f"{theirs}.{end}", _Tensor(place, heads, above)


def _rows(tensor: _Tensor, wanted: slice, count: int) -> slice | np.ndarray:
    """Returns which rows of the file those rows of the folder's tensor are.

    Source: `LlamaModel.permute` of llama.cpp's converter, the other way round.
    """
    if not tensor.pair_heads:
        return wanted
    width = count // tensor.pair_heads
    head, feature = np.divmod(np.arange(wanted.start, wanted.stop), width)
    half, pair = np.divmod(feature, width // 2)
    return head * width + 2 * pair + half


def _unpack(
    content: np.ndarray, place: Place, rows: slice | np.ndarray, columns: slice
) -> np.ndarray:
    """Reads some rows and columns of a tensor, as float32.

    Only the blocks that hold the columns are unpacked.
    """
    # Imported here, as of all commands only those that open a GGUF file need it.
    import gguf

    _, block, _ = KINDS[place.kind]
    first, last = columns.start // block, -(-columns.stop // block)
    part = _blocks(content, place)[rows, first:last]
    flat = np.ascontiguousarray(part).reshape(len(part), -1)
    values = gguf.dequantize(flat, gguf.GGMLQuantizationType(place.kind))
    return values[:, columns.start - first * block : columns.stop - first * block]


def _blocks(content: np.ndarray, place: Place) -> np.ndarray:
    """Returns the bytes of a tensor: [rows, blocks of a row, bytes of a block]."""
    _, block, bytes_of_block = KINDS[place.kind]
    packed = content[place.start : place.start + place.size]
    return packed.reshape(-1, place.shape[-1] // block, bytes_of_block)


def _read_divisors(
    files: Sequence[Path], place: Place | None
) -> tuple[float, ...] | None:
    """Reads what rotary frequencies are divided by; None where they are not."""
    if place is None:
        return None
    path = files[place.file]
    content = np.memmap(path, np.uint8, mode="r")
    whole = _unpack(content, place, slice(0, 1), slice(0, place.shape[-1]))
    if len(place.shape) > 1 or not (np.isfinite(whole) & (whole > 0)).all():
        raise ValueError(
            f"{quoted_path(path)}: {_DIVISORS} of shape {place.shape} holds no row of "
            "positive numbers: convert the model again"
        )
    return tuple(whole[0].tolist())
