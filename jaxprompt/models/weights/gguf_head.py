"""The head of a GGUF file: its metadata, and where each tensor lies.

Own code, as the reader of the library `gguf` makes one object for each element of an
array, which takes seconds for a vocabulary, and believes every count that a file names.
"""

import math
import mmap
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.screen.quoting import quoted, quoted_path
from jaxprompt.screen.suggest import path_hint

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
# Far above what any model has: they bound what a file can make us allocate.
_LARGEST_HEAD = 2**26
_MOST_ENTRIES = 2**16
_MOST_ELEMENTS = 2**21
_LONGEST_NAME = 2**8

_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_BOOL, _STRING, _ARRAY = 7, 8, 9

KINDS: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
}
"""Number of a kind of tensor -> its name, the weights of a block, and its bytes.

Source: `GGML_QUANT_SIZES` of gguf 0.19.
"""
_NOT_READ = {
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
}

Metadata = Mapping[str, Any]
"""Key -> number, truth value, text, array of numbers, or tuple of texts."""


class Place(NamedTuple):
    """Where a tensor lies in its file, and how it is packed.

    Attributes:
        kind: Number of its kind, a key of `KINDS`.
        shape: Its shape, rows first.
        start: Its first byte, from the beginning of the file.
        size: Its bytes.
        file: Number of the file, of those of its model, from 0.
    """

    kind: int
    shape: tuple[int, ...]
    start: int
    size: int
    file: int = 0


class GGUFHead(NamedTuple):
    """What a GGUF file says before its weights."""

    metadata: Metadata
    places: Mapping[str, Place]


class _Unsound(Exception):
    """Why a file is no GGUF file that can be read."""


def is_gguf(path: Path) -> bool:
    """Tells whether a path is of a GGUF file, by its name."""
    return path.suffix.lower() == ".gguf"


def read_head(path: Path) -> GGUFHead:
    """Reads metadata and places; every count is checked against the file's size.

    Args:
        path: The file.

    Returns:
        What it says; the weights are not read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GGUF file of version 2 or 3, is cut off, or holds a
            tensor of a kind that is not read.
    """
    return _read(path, lambda cursor, size: GGUFHead(*_parse(cursor, size)))


def read_metadata(path: Path) -> Metadata:
    """Reads the metadata alone, as `read_head`, whatever kinds the tensors are of."""
    return _read(path, lambda cursor, size: _parse_metadata(cursor, size)[0])


def _read(path: Path, parse: Callable[["_Cursor", int], Any]) -> Any:
    where = quoted_path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise _Unsound("it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return parse(_Cursor(content, size), size)
    except FileNotFoundError as err:
        raise FileNotFoundError(
            f"no GGUF file at {where}{path_hint(str(path))}"
        ) from err
    except OSError as err:
        raise ValueError(f"{where} cannot be read: {err.strerror}") from err
    except _Unsound as err:
        raise ValueError(f"{where} is no GGUF file that can be read: {err}") from err


class _Cursor:
    """Reads one thing after the other, and never behind the end of the file."""

    def __init__(self, content: mmap.mmap, size: int) -> None:
        self._content = content
        self._end = min(size, _LARGEST_HEAD)
        self._size = size
        self.place = 0

    def take(self, count: int) -> bytes:
        """Returns the next bytes."""
        stop = self.place + count
        if stop > self._end:
            if stop > self._size:
                raise _Unsound(
                    f"it ends after {self._size:,} bytes, inside what comes before "
                    "its weights: fetch it again"
                )
            raise _Unsound(
                f"what comes before its weights is larger than {_LARGEST_HEAD:,} bytes"
            )
        found = self._content[self.place : stop]
        self.place = stop
        return found

    def whole(self, form: str = "<Q") -> int:
        """Returns the next whole number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, what: str, longest: int = _LARGEST_HEAD) -> str:
        """Returns the next text."""
        count = self.whole()
        if count > longest:
            raise _Unsound(f"{what} has {count:,} bytes, where {longest:,} are plenty")
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError as err:
            raise _Unsound(f"{what} is no UTF-8: {err.reason}") from err

    def numbers(self, form: str, count: int) -> np.ndarray:
        """Returns the next numbers."""
        kind = np.dtype(form)
        return np.frombuffer(self.take(count * kind.itemsize), kind)


def _parse_metadata(cursor: _Cursor, size: int) -> tuple[dict[str, Any], int]:
    """Returns the metadata and the number of tensors."""
    magic = cursor.take(min(len(_MAGIC), size))
    if magic != _MAGIC:
        raise _Unsound(f"it begins with {magic!r} and not with {_MAGIC!r}")
    version = cursor.whole("<I")
    if version not in _VERSIONS:
        swapped = struct.unpack(">I", struct.pack("<I", version))[0]
        kind = f"big-endian version {swapped}" if swapped in _VERSIONS else str(version)
        raise _Unsound(
            f"it is of version {kind}, where 2 and 3 of little-endian are read: "
            "convert the model again with a llama.cpp of today"
        )
    tensors, entries = cursor.whole(), cursor.whole()
    for count, what in ((tensors, "tensors"), (entries, "entries of metadata")):
        if count > _MOST_ENTRIES:
            raise _Unsound(
                f"it claims {count:,} {what}, where {_MOST_ENTRIES:,} are plenty"
            )
    metadata: dict[str, Any] = {}
    for _ in range(entries):
        key = cursor.text("a key", _LONGEST_NAME)
        if key in metadata:
            raise _Unsound(f"it holds the key {quoted(key)} twice")
        metadata[key] = _value(cursor, cursor.whole("<I"), key)
    return metadata, tensors


def _value(cursor: _Cursor, kind: int, key: str) -> Any:
    if kind == _STRING:
        return cursor.text(quoted(key))
    if kind == _BOOL:
        return cursor.take(1) != b"\0"
    if kind in _NUMBERS:
        return cursor.numbers(_NUMBERS[kind], 1)[0].item()
    if kind == _ARRAY:
        return _array(cursor, key)
    raise _Unsound(f"{quoted(key)} is of the unknown type {kind}")


def _array(cursor: _Cursor, key: str) -> Any:
    kind, count = cursor.whole("<I"), cursor.whole()
    if count > _MOST_ELEMENTS:
        raise _Unsound(
            f"{quoted(key)} claims {count:,} elements, where {_MOST_ELEMENTS:,} are "
            "plenty"
        )
    if kind == _STRING:
        return tuple(cursor.text(quoted(key)) for _ in range(count))
    if kind == _BOOL:
        return cursor.numbers("<u1", count) != 0
    if kind in _NUMBERS:
        return cursor.numbers(_NUMBERS[kind], count)
    raise _Unsound(f"{quoted(key)} is an array of the unknown type {kind}")


def _parse(cursor: _Cursor, size: int) -> tuple[Metadata, dict[str, Place]]:
    metadata, count = _parse_metadata(cursor, size)
    named: dict[str, tuple[int, tuple[int, ...], int]] = {}
    for _ in range(count):
        name = cursor.text("a tensor's name", _LONGEST_NAME)
        if name in named:
            raise _Unsound(f"it holds the tensor {quoted(name)} twice")
        named[name] = _tensor(cursor, name)
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise _Unsound(f"its alignment {quoted(alignment)} is no power of two")
    data = -(-cursor.place // alignment) * alignment
    places = {}
    for name, (kind, shape, offset) in named.items():
        label, block, bytes_of_block = KINDS[kind]
        if shape[-1] % block:
            raise _Unsound(
                f"rows of {shape[-1]} weights of tensor {quoted(name)} are no whole "
                f"blocks of {block}, which {label} has"
            )
        held = math.prod(shape) // block * bytes_of_block
        if offset % alignment or data + offset + held > size:
            raise _Unsound(
                f"tensor {quoted(name)} {shape} of {held:,} bytes is to begin at byte "
                f"{data + offset:,}, but the file has {size:,}: it is cut off, so "
                "fetch it again"
            )
        places[name] = Place(kind, shape, data + offset, held)
    total = sum(place.size for place in places.values())
    if total > size:
        raise _Unsound(f"its tensors have {total:,} bytes, but it has {size:,}")
    return metadata, places


def _tensor(cursor: _Cursor, name: str) -> tuple[int, tuple[int, ...], int]:
    """Returns kind, shape and offset of the next tensor."""
    dimensions = cursor.whole("<I")
    if not 1 <= dimensions <= 4:
        raise _Unsound(f"tensor {quoted(name)} has {dimensions} dimensions, not 1 to 4")
    sizes = cursor.numbers("<u8", dimensions)[::-1].tolist()
    if min(sizes) < 1:
        raise _Unsound(f"tensor {quoted(name)} has the shape {tuple(sizes)}")
    kind, offset = cursor.whole("<I"), cursor.whole()
    if kind not in KINDS:
        known = ", ".join(label for label, *_ in KINDS.values())
        raise _Unsound(
            f"tensor {quoted(name)} is of the kind {_NOT_READ.get(kind, kind)}, and "
            f"only {known} are read: take a file of another quantisation, as Q4_K_M"
        )
    return kind, tuple(sizes), offset
