"""Files of arrays, .npy and .safetensors: read without unpickling, rows rounded."""

import io
import os
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from jaxprompt.screen.quoting import listed, quoted_path

_KINDS = ("float32", "float16", "bfloat16")

_LOADED = "torch.load('{path}', map_location='cpu', weights_only=True)"


def read_npy(path: Path, wanted: str) -> np.ndarray:
    """Reads the one array of a .npy file. A pickle is never read.

    Args:
        path: The file.
        wanted: What it should be, for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or holds several arrays.
    """
    _check_there(path)
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    # ValueError mostly, but an empty file and a cut archive have errors of their own.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read, being cut, a pickle or other: {wanted}"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays: {wanted}; save one of them")
    return array


def npy_bytes(array: np.ndarray) -> bytes:
    """Returns the content of a .npy file."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array))
    return content.getvalue()


def read_tensor(path: Path, tensor: str, otherwise: str) -> np.ndarray:
    """Reads the only tensor of a .safetensors file; see `read_tensors`."""
    return read_tensors(path, [{tensor}], otherwise)[tensor]


def read_tensors(
    path: Path, known: Sequence[Set[str]], otherwise: str
) -> dict[str, np.ndarray]:
    """Reads the few tensors of a .safetensors file; of a whole model, nothing.

    Args:
        path: The file.
        known: The names that it may have: all of one set, and no others.
        otherwise: What to say of a file of other tensors, or of more.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no safetensors file, when it says how to convert a pickle;
            or if it holds anything else.
    """

    def check(names: list[str]) -> None:
        if set(names) not in known:
            wanted = " or ".join(", ".join(sorted(one)) for one in known)
            number = "one tensor " if len(known) == 1 else ""
            raise ValueError(
                f"{path} holds {listed(names, most=5)}, where {number}{wanted!r} "
                f"should be: {otherwise}"
            )

    return _read(path, check, _as_dict(path, known[0]))


def read_named(
    path: Path, is_known: Callable[[str], Any], what: str
) -> dict[str, np.ndarray]:
    """Reads the tensors of a .safetensors file that holds no others.

    Args:
        path: The file.
        is_known: Whether it may have a tensor of this name.
        what: What all tensors are, for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As `read_tensors`; or if it holds no tensor.
    """

    def check(names: list[str]) -> None:
        others = [name for name in names if not is_known(name)]
        if others or not names:
            held = listed(others, most=5) if others else "no tensor"
            raise ValueError(f"{path} holds {held}, where {what} should be")

    return _read(path, check, "")


def _read(
    path: Path, check: Callable[[list[str]], None], as_dict: str
) -> dict[str, np.ndarray]:
    _check_there(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            check(names)
            return {name: _tensor(file, name, path) for name in names}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); what torch.save wrote "
            "is a pickle and never read here: convert it once by "
            + conversion(path, as_dict)
        ) from error


def _tensor(file: Any, name: str, path: Path) -> np.ndarray:
    try:
        return file.get_tensor(name)
    except AttributeError as error:  # NumPy has no floats of 8 bits and fewer.
        dtype = file.get_slice(name).get_dtype()
        raise ValueError(
            f"{path}: {name} is {dtype}: it must be {', '.join(_KINDS)}"
        ) from error


def _as_dict(path: Path, names: Set[str]) -> str:
    """Returns the Python expression of the one tensor that a pickle may be."""
    (name,) = names
    return f"{{'{name}': {_LOADED.format(path=path)}}}"


def conversion(path: Path, tensors: str = "") -> str:
    """Returns the shell command that makes safetensors of what torch.save wrote.

    Args:
        path: The pickle; the new file will lie beside it.
        tensors: Python expression of the dict to save; by default what `path` holds.
    """
    tensors = tensors or _LOADED.format(path=path)
    target = path.with_suffix(".safetensors")
    return (
        f'python -c "import torch, safetensors.torch as s; '
        f"s.save_file({tensors}, '{target}')\""
    )


def safetensors_bytes(name: str, rows: np.ndarray) -> bytes:
    """Returns the content of a .safetensors file of one tensor, as PyTorch reads it."""
    tensors = {name: np.ascontiguousarray(rows)}
    return safetensors.numpy.save(tensors, metadata={"format": "pt"})


def check_rows(rows: np.ndarray, where: str, axes: int = 2) -> Float[np.ndarray, "..."]:
    """Returns rows as float32, which holds every float16 and bfloat16 exactly.

    Args:
        rows: [P, D]; with `axes` 3 [M, P, D]; with 4 keys or values, [1, P, G, K].
        where: What holds them, for error messages.
        axes: How many axes they must have.

    Raises:
        ValueError: If they have other axes, none of a size, another dtype, or numbers
            that are not finite.
    """
    if rows.ndim != axes or rows.size == 0 or rows.dtype.name not in _KINDS:
        shape = {2: "[P, D]", 3: "[tasks, P, D]", 4: "[1, P, heads, width]"}[axes]
        raise ValueError(
            f"{where} is {rows.dtype} {list(rows.shape)}: it must be {shape} of "
            f"{', '.join(_KINDS)}"
        )
    rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{where} holds numbers that are not finite, so no model can use it: take "
            "another checkpoint"
        )
    return rows


def round_rows(rows: np.ndarray, dtype: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rounds float32 rows to what another program stores.

    Args:
        rows: float32.
        dtype: "float32", "float16" or "bfloat16".

    Returns:
        The rows, and a note on what was rounded; no note if nothing was.

    Raises:
        ValueError: If a number is too large for the dtype.
    """
    with np.errstate(over="ignore"):
        rounded = rows.astype(jnp.dtype(dtype))
    difference = np.abs(rounded.astype(np.float32) - rows)
    if not np.isfinite(difference).all():
        raise ValueError(
            f"a number of the prompt, {np.abs(rows).max():g}, is too large for "
            f"{dtype}: use bfloat16 or float32"
        )
    if not difference.any():
        return rounded, ()
    return rounded, (
        f"rounded to {dtype}: {np.mean(difference > 0):.0%} of the numbers, by at most "
        f"{difference.max():.2g}; the largest is {np.abs(rows).max():.3g}",
    )


def _check_there(path: Path) -> None:
    # Not Path.is_file, which fails on a name that is too long.
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no prompt file at {quoted_path(path)}: check the path"
        )
