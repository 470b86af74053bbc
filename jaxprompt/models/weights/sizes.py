"""Whether the sizes that a config.json claims can be those of the tensors beside it."""

import math
from collections.abc import Mapping
from pathlib import Path

from jaxprompt.models.weights.source import Tensors


def check_sizes(
    path: Path, sizes: Mapping[str, int], layers: Mapping[str, str], tensors: Tensors
) -> None:
    """Refuses sizes that the tensors cannot have, before anything is made of that size.

    Args:
        path: The config.json, for error messages.
        sizes: Setting -> its value, of widths and rows. None can be larger than the
            largest tensor is: what it is exactly, the cover of the tensors tells.
        layers: Setting -> what the names of its layers' tensors begin with, such as
            "encoder.block.", before the number of the layer.
        tensors: What is beside it.

    Raises:
        ValueError: If the tensors hold fewer layers or numbers, or a size is 0.
    """
    largest = max(map(math.prod, tensors.shapes.values()), default=0)
    for setting, value in sizes.items():
        start = layers.get(setting)
        if start is None:
            most, held = largest, f"the largest tensor beside it has {largest} numbers"
        else:
            most = _count_layers(tensors, start)
            held = f"the tensors beside it are those of {most} layers {start}*"
        if not 0 < value <= most:
            raise ValueError(
                f"{path}: {setting} {value}, but {held}: take config and weights from "
                "one checkpoint"
            )


def _count_layers(tensors: Tensors, start: str) -> int:
    names = (name for name in tensors.shapes if name.startswith(start))
    return len({name.removeprefix(start).split(".")[0] for name in names})
