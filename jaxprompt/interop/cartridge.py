"""A cartridge, both ways: keys and values of every layer, a pair of tensors a layer."""

import io
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxprompt.files.atomic import write_atomically
from jaxprompt.interop.arrays import check_rows, read_named
from jaxprompt.interop.exchange import Taken
from jaxprompt.prompts.prompt import Deep, make_deep, make_prompt
from jaxprompt.screen.quoting import quoted

_NAME = re.compile(r"layers\.(0|[1-9][0-9]{0,3})\.attention\.prefix\.(keys|values)")
_PICKLE = ".pt"


def read(path: Path) -> Taken:
    """Reads a cartridge, whose text stands behind it: it begins at position P.

    Args:
        path: A .safetensors file. What torch.save wrote is a pickle and never read.

    Returns:
        The one prompt, of width 0: a cartridge does not say the model's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but the keys and values of all layers from 0,
            each float32, float16 or bfloat16 [1, P, G, K].

    Source: Eyuboglu et al. 2025 (arXiv:2506.06266), as servers of cartridges keep
    them: layers.{i}.attention.prefix.keys and .values.
    """
    tensors = read_named(path, _NAME.fullmatch, "a cartridge's keys and values")
    numbers = sorted({int(name.split(".")[1]) for name in tensors})
    if numbers != [*range(len(tensors) // 2)] or len(tensors) % 2:
        raise ValueError(
            f"{path} holds keys or values of layers {numbers}: a cartridge has both of "
            "every layer, from 0"
        )
    both: list[Any] = []
    for part in ("keys", "values"):
        names = [_name(number, part) for number in numbers]
        missing = [name for name in names if name not in tensors]
        if missing:
            raise ValueError(
                f"{path} lacks {missing[0]}: a cartridge has every layer's"
            )
        found = [check_rows(tensors[name], f"{path}: {name}", axes=4) for name in names]
        both.append(found)
    shapes = {found.shape for found in (*both[0], *both[1])}
    if len(shapes) > 1 or next(iter(shapes))[0] != 1:
        raise ValueError(
            f"{path} holds keys and values of {quoted(sorted(shapes))}: all must be "
            "one [1, tokens, heads, width]"
        )
    keys, values = (jnp.asarray(np.concatenate(found)) for found in both)
    deep = make_deep(keys, values, in_front=True)
    return Taken((make_prompt(jnp.zeros((0, 0)), {"decoder": deep}),), causal=True)


def write(path: Path, deep: Deep) -> None:
    """Writes keys and values, atomically.

    Args:
        path: The file to write; an existing one is replaced. One that ends in .pt is a
            pickle of PyTorch's, as servers load it; any other is a safetensors file.
        deep: Those of one prompt, in front of its text, with every layer's.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If a .pt file is asked for and PyTorch is not installed.
    """
    tensors = {
        _name(number, part): np.array(layer[None], np.float32)
        for part, layers in (("keys", deep.keys), ("values", deep.values))
        for number, layer in enumerate(np.asarray(layers)[0])
    }
    if path.suffix == _PICKLE:
        write_atomically(path, _pickled(tensors))
    else:
        content = safetensors.numpy.save(tensors, metadata={"format": "pt"})
        write_atomically(path, content)


def check_place(path: Path) -> None:
    """Raises ValueError if a .pt file is asked for, and PyTorch is not installed."""
    if path.suffix == _PICKLE:
        _torch(path)


def _name(number: int, part: str) -> str:
    return f"layers.{number}.attention.prefix.{part}"


def _pickled(tensors: dict[str, np.ndarray]) -> bytes:
    torch = _torch(Path(_PICKLE))
    content = io.BytesIO()
    torch.save({name: torch.from_numpy(x) for name, x in tensors.items()}, content)
    return content.getvalue()


def _torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f"{path} is to be a file of torch.save, but PyTorch is not installed: "
            "install it, or name a .safetensors file"
        ) from error
    return torch
