"""What hostile input is made of, and how an error about it must read."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st

_Result = TypeVar("_Result")

LONG = "long text " * 10_000
"""100,000 characters."""

STRANGE = (
    "",
    " ",
    "\0",
    "a\0b\0",
    "\ufeff",
    "line\u2028separator\u2029and\x85more\x0b\x0c\x1c",
    "\u202eright to left\u202c",
    "e\u0301\u0328 \U0001f469\u200d\U0001f52c \U0010ffff \ufffe",
    "caf\xe9 na\xefve \x80\x99",
    "{text} {{ }} %s $HOME ../../etc/passwd",
    "'; DROP TABLE rows; --",
    "</s> <pad> <extra_id_0> <unk> \u2581",
    "NaN",
    LONG,
)

texts = st.one_of(st.text(max_size=40), st.sampled_from(STRANGE))
"""Any Unicode that is text: no half characters."""

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=8,
)

wrong_values = st.one_of(
    json_values,
    st.sampled_from(
        [
            float("nan"),
            float("inf"),
            10**30,
            -(10**30),
            2**31,
            2**63,
            "\ud800",
            LONG,
            [[[[]]]],
        ]
    ),
)
"""What JSON may hold where something else is due, and what it may not hold."""


def one_error(call: Callable[[], _Result], *named: str | Path) -> _Result | None:
    """Calls, and allows one clear error: which names what is wrong, in one short line.

    Returns:
        What the call returns; None if there was an error.
    """
    try:
        return call()
    except (ValueError, FileNotFoundError) as raised:
        error = raised
    # Not one of its kinds, such as UnicodeError or JSONDecodeError.
    assert type(error) in (ValueError, FileNotFoundError), repr(error)
    message = str(error)
    for name in named:
        assert str(name) in message, message[:300]
    assert len(message.splitlines()) == 1, message[:300]
    assert len(message) < 1500, message[:300]
    return None


def safetensors_bytes(header: Any, data: bytes = b"") -> bytes:
    """Lays out a .safetensors file as it is asked for, sound or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def edited(
    content: bytes, edits: list[tuple[int, int]], cut: int | None, tail: bytes
) -> bytes:
    """Flips bits, cuts the end off, and appends a tail."""
    found = bytearray(content)
    for place, bits in edits:
        found[place % len(found)] ^= bits
    return bytes(found[: None if cut is None else cut % len(found)]) + tail


damage = {
    "edits": st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4
    ),
    "cut": st.none() | st.integers(0, 10**6),
    "tail": st.binary(max_size=8),
}
"""Arguments of `edited`."""


class Trap:
    """An object whose pickle writes a file when it is read."""

    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))
