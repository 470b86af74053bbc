"""One leaf of a T5X checkpoint's model, read or added; the others stay on disk."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import numpy as np
import tensorstore

INDEX = "checkpoint"
"""T5X's msgpack file: small arrays, and where each large one lies beside it."""

PROMPT = "encoder.prompt.prompt.prompt"
"""The encoder's prompt: trainer's wrapper, prompt module, variable.

Source: google-research/prompt-tuning, prompt_tuning/train/layers.py (PromptEncoder).
"""


def read_index(folder: Path) -> dict[str, Any]:
    """Reads the index of a checkpoint: large arrays are descriptions in it.

    Args:
        folder: The folder of one step.

    Raises:
        FileNotFoundError: If it holds no index.
        ValueError: If the index is not T5X's.
    """
    path = folder / INDEX
    # Not Path.is_file, which fails on a name that is too long.
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no file {INDEX} in {folder}: give the folder of one step of T5X, such as "
            "checkpoint_1100000"
        )
    try:
        index: Any = flax.serialization.msgpack_restore(path.read_bytes())
        index["optimizer"]["target"]
    # Cut msgpack raises many kinds.
    except Exception as error:
        raise ValueError(
            f"{path} is no T5X index ({error!r}): give the folder of one step, such as "
            "checkpoint_1100000"
        ) from error
    return index


def leaf_names(index: Mapping[str, Any]) -> list[str]:
    """Lists the model's arrays by dotted names, as `encoder.encoder_norm.scale`."""
    return [name for name, _ in _leaves(index["optimizer"]["target"])]


def open_leaves(folder: Path, index: Mapping[str, Any]) -> dict[str, Any]:
    """Opens all of the model's arrays: those of the index, and stores of the others."""
    return {
        name: open_leaf(folder, name) if isinstance(value, Mapping) else value
        for name, value in _leaves(index["optimizer"]["target"])
    }


def open_leaf(folder: Path, name: str) -> tensorstore.TensorStore:
    """Opens an array that lies beside the index; nothing of it is read yet.

    Raises:
        ValueError: If its files are missing or cannot be read.
    """
    path = folder / f"target.{name}"
    store = {"driver": "file", "path": f"{path}/"}
    try:
        opened = tensorstore.open({"driver": "zarr", "kvstore": store}, open=True)
        return opened.result()
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read, though the index names it: fetch the whole "
            f"checkpoint folder again ({error})"
        ) from error


def read_leaf(folder: Path, index: Mapping[str, Any], name: str) -> np.ndarray:
    """Reads one of the model's arrays whole; errors as of `open_leaf`.

    Args:
        folder: The folder of the checkpoint.
        index: From `read_index`.
        name: One of `leaf_names`.
    """
    value = dict(_leaves(index["optimizer"]["target"]))[name]
    if not isinstance(value, Mapping):
        return np.asarray(value)
    return open_leaf(folder, name).read().result()


def add_leaf(index: Mapping[str, Any], name: str, array: np.ndarray) -> bytes:
    """Returns the content of an index in which the model has one more small array.

    T5X reads an array in the index like one that lies beside it.

    Args:
        index: From `read_index`; left as it is.
        name: Dotted name; a leaf of this name is replaced.
        array: The array.

    Source: google-research/t5x, t5x/checkpoints.py (_read_ts).
    """
    optimizer = index["optimizer"]
    target = _with_leaf(optimizer["target"], name.split("."), array)
    changed = {**index, "optimizer": {**optimizer, "target": target}}
    return flax.serialization.msgpack_serialize(changed)


def _with_leaf(
    tree: Mapping[str, Any], keys: list[str], array: np.ndarray
) -> dict[str, Any]:
    key, *rest = keys
    value = _with_leaf(tree.get(key, {}), rest, array) if rest else array
    return {**tree, key: value}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Lists (dotted name, array or zarr description)."""
    leaves = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and "driver" not in value:
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((prefix + key, value))
    return leaves
