"""A model in several GGUF files, as llama-gguf-split makes them: all of its parts.

Source: llama.cpp's gguf-split, for the names of the files and the keys "split.no",
"split.count" and "split.tensors.count". The first file has the metadata.
"""

import re
from pathlib import Path
from typing import NamedTuple

from jaxprompt.models.weights.gguf_head import GGUFHead, read_head
from jaxprompt.screen.quoting import listed, quoted_path

_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf)", re.IGNORECASE)


class GGUFPart(NamedTuple):
    """One file of a model."""

    path: Path
    head: GGUFHead


def names_of_parts(name: str) -> list[str]:
    """Returns the names of all files of a model, by the name of one of them."""
    found = _NAME.fullmatch(name)
    if found is None:
        return [name]
    stem, _, count, suffix = found.groups()
    numbers = range(1, int(count) + 1)
    return [f"{stem}-{number:05}-of-{count}{suffix}" for number in numbers] or [name]


def read_parts(path: Path) -> list[GGUFPart]:
    """Reads the heads of all files of a model.

    Args:
        path: Its only file, or the first of several.

    Returns:
        All of them, the first one first. No tensor is in two.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If one cannot be read, is another part than its name says, or is of
            another model.
    """
    first = GGUFPart(path, read_head(path))
    count = _number(first, "split.count")
    if count < 2:
        return [first]
    names, where = names_of_parts(path.name), quoted_path(path)
    if len(names) != count:
        raise ValueError(
            f"{where} is one of the {count} files of a model, which their names should "
            f"say: call it by its own name, as model-00001-of-{count:05}.gguf"
        )
    if path.name != names[0]:
        raise ValueError(
            f"{where} is not the first of the {count} files of a model: give {names[0]}"
        )
    absent = [name for name in names if not path.with_name(name).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{where} is the first of the {count} files of a model, and beside it are "
            f"no {listed(absent)}: fetch them too"
        )
    others = [path.with_name(name) for name in names[1:]]
    parts = [first, *(GGUFPart(other, read_head(other)) for other in others)]
    tensors: set[str] = set()
    for number, part in enumerate(parts):
        said = _number(part, "split.no"), _number(part, "split.count")
        if said != (number, count) or not tensors.isdisjoint(part.head.places):
            raise ValueError(
                f"{quoted_path(part.path)} says that it is part {said[0] + 1} of "
                f"{said[1]}, or holds a tensor of a part before it: it is not part "
                f"{number + 1} of {count} of this model, so fetch it again"
            )
        tensors.update(part.head.places)
    total = _number(first, "split.tensors.count")
    if len(tensors) != total:
        raise ValueError(
            f"{where} says that the model has {total} tensors, but its {count} files "
            f"have {len(tensors)}: fetch them again"
        )
    return parts


def _number(part: GGUFPart, key: str) -> int:
    found = part.head.metadata.get(key, 0)
    return found if type(found) is int else 0
