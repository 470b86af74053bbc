"""Hugging Face folders of any family: config.json and safetensors."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from jaxprompt.files.json_file import read_json_object
from jaxprompt.models.families import family_of_settings
from jaxprompt.models.weights.checkpoint import Checkpoint, read_chunks
from jaxprompt.models.weights.source import Tensors

_FLOATS = {"F32": "<f4", "F16": "<f2"}
"""How a safetensors file calls the types that NumPy has -> NumPy's name of them."""


def open_checkpoint(folder: Path, name: str, revision: str | None) -> Checkpoint:
    """Opens a folder of config.json and safetensors.

    Args:
        folder: The folder.
        name: What the user called it, for error messages.
        revision: Commit that the folder is a snapshot of, for error messages.

    Raises:
        FileNotFoundError: If config.json or the weights are not there.
        ValueError: If the config is of no family that can be read, a file cannot be
            read, or a tensor is missing, extra or misshapen.
    """
    path = folder / "config.json"
    settings = read_json_object(
        path, "give a Hugging Face folder, a T5X checkpoint folder, or a Hub name"
    )
    form = family_of_settings(settings, path).hugging_face
    tensors = _Safetensors(_weight_files(folder, name, revision, form.auto_class))
    config = form.read_config(settings, path, tensors)
    layout = form.layout(config, tensors.shapes)
    (original,) = layout.sources["embedding"].names
    if original in tensors.shapes:
        _check_copies(folder, tensors, original, layout.copies)
    extras = layout.unused.union(layout.copies)
    return Checkpoint(folder, config, tensors, layout.sources, extras)


class _Safetensors:
    """The tensors of one or several .safetensors files, mapped into memory."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self._slices: dict[str, Any] = {}
        self._mapped: dict[str, np.ndarray] = {}
        for path in files:
            try:
                file = safetensors.safe_open(path, framework="numpy")
            except safetensors.SafetensorError as err:
                raise ValueError(
                    f"{path} is no whole safetensors file ({err}): fetch it again"
                ) from err
            names = file.keys()
            self._slices |= {name: file.get_slice(name) for name in names}
            self._mapped |= _map_floats(path)
        self.shapes = {
            name: tuple(view.get_shape()) for name, view in self._slices.items()
        }

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        # The library copies what it gives, which is as much memory again.
        found = self._mapped.get(name)
        return self._slices[name][index] if found is None else found[index]


def _map_floats(path: Path) -> dict[str, np.ndarray]:
    """Maps the float32 and float16 tensors of a file that the library has checked.

    Source: the format's own description, https://github.com/huggingface/safetensors.
    """
    content = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        if about["dtype"] in _FLOATS:
            first, end = about["data_offsets"]
            values = content[start + first : start + end].view(_FLOATS[about["dtype"]])
            found[name] = values.reshape(about["shape"])
    return found


def _weight_files(
    folder: Path, name: str, revision: str | None, kind: str
) -> list[Path]:
    """Finds the safetensors of a folder: one file, or the shards of an index.

    Where there are none, transformers' class `kind` can convert the pickle.
    """
    single, index = (folder / f"model.safetensors{end}" for end in ("", ".index.json"))
    if single.is_file():
        return [single]
    if index.is_file():
        shards = read_json_object(index, "fetch it again").get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ValueError(f"{index} has no weight_map: fetch it again")
        # "..", too, is a name of its own for pathlib.
        strange = [s for s in map(str, shards.values()) if Path(s).name != s]
        if strange:
            raise ValueError(
                f"{index} names {strange[0]!r}, which is not in {folder}: do not trust "
                "this folder, and fetch it again from where it is published"
            )
        files = [folder / shard for shard in sorted(set(map(str, shards.values())))]
        absent = [file.name for file in files if not file.is_file()]
        if absent:
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(absent)}, which {index.name} names: "
                "fetch them again"
            )
        return files
    raise FileNotFoundError(
        f"no model.safetensors in {folder}; a pytorch_model.bin is never read here, as "
        "a pickle can run any code. If there is one, convert it once, where torch and "
        f"transformers are installed: {_conversion(folder, name, revision, kind)}"
    )


def _conversion(folder: Path, name: str, revision: str | None, kind: str) -> str:
    """Returns the shell command that makes safetensors of a pytorch_model.bin.

    transformers reads it by `torch.load(weights_only=True)`, which runs no code.
    """
    target = f"{folder.resolve().name if revision is None else Path(name).name}-safe"
    at = f"'{name}'" if revision is None else f"'{name}', revision='{revision}'"
    saved = f".save_pretrained('{target}')"
    code = (
        f"from transformers import {kind} as M, AutoTokenizer as T; "
        f"M.from_pretrained({at}, use_safetensors=False){saved}"
    )
    if (folder / "spiece.model").is_file():
        copy = shlex.join(["cp", str(folder / "spiece.model"), target])
        return f'python -c "{code}" && {copy}'
    return f'python -c "{code}; T.from_pretrained({at}){saved}"'


def _check_copies(
    folder: Path, tensors: Tensors, original: str, copies: Sequence[str]
) -> None:
    """Raises ValueError unless the copies equal the embedding table, byte for byte."""
    for copy in copies:
        same = tensors.shapes[copy] == tensors.shapes[original] and all(
            ours.tobytes() == theirs.tobytes()
            for ours, theirs in zip(
                read_chunks(tensors, original), read_chunks(tensors, copy), strict=True
            )
        )
        if not same:
            raise ValueError(
                f"{folder}: {copy} differs from {original}, but a model has one "
                "embedding table: save the checkpoint again from one that shares it"
            )
