"""Where gin files lie, which there are, and what the first comment says of each."""

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.suggest import closest

DEFAULTS = "gin/runs/prompt_tuning.gin"
"""The file whose names nearly every run has; it stands in where a prompt has none."""

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (Path(), _PACKAGE.parent, _PACKAGE)
"""Where gin files are looked for: here, in a checkout, in an installed package."""

_OURS = "gin"
"""The folder of this project's own gin files, in a checkout and in a package."""

_INCLUDE = re.compile(r"""^include\s+(["'])(.+?)\1""", re.MULTILINE)

_MOST_INCLUDES = 2
"""Levels of files that include files."""


def find_gin_file(file: str) -> Path:
    """Returns where a gin file lies.

    Args:
        file: Its path from here, or from one of the folders that hold this project's.

    Raises:
        FileNotFoundError: If it is nowhere; says which one may be meant.
    """
    for folder in _FOLDERS:
        # Not Path.is_file, which fails on a name that is too long.
        if os.path.isfile(folder / file):
            return folder / file
    meant = meant_gin_file(file)
    hint = f"did you mean {meant}?" if meant else "check the path"
    looked = " or ".join(str(folder.absolute()) for folder in _FOLDERS)
    raise FileNotFoundError(f"no gin file {quoted_path(file)} in {looked}: {hint}")


def meant_gin_file(name: str) -> str | None:
    """Returns the path of the gin file that a misspelt path or name may mean, or None.

    Args:
        name: A path, or the name of a task, a model or a run, as "sst2".
    """
    by_name: dict[str, list[str]] = {}
    for file in [*_beside(name), *gin_files()]:
        by_name.setdefault(PurePath(file).stem, []).append(file)
    stem = PurePath(name.replace("\\", "/")).stem
    found = closest(stem, by_name, alike=0.75)
    if found is None:
        return None
    return closest(name, by_name[found], alike=0.5) or by_name[found][0]


@functools.cache
def gin_files() -> tuple[str, ...]:
    """Returns this project's gin files, as `--gin_file` takes them, recipes last."""
    for folder in _FOLDERS[1:]:
        if (folder / _OURS).is_dir():
            found = (folder / _OURS).rglob("*.gin")
            files = (path.relative_to(folder).as_posix() for path in found)
            return tuple(sorted(files, key=_by_place))
    return ()


def first_comment(file: str) -> str:
    """Returns what a gin file says of itself: the first sentences of its first comment.

    Args:
        file: As of `find_gin_file`.
    """
    lines: list[str] = []
    for line in read_utf8(find_gin_file(file)).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def with_includes(text: str, depth: int = 0) -> str:
    """Puts the text of included files in place: gin would look for Python packages.

    Args:
        text: Of a gin file.
        depth: How many files include it.

    Raises:
        FileNotFoundError: If an included file is nowhere.
        ValueError: If there are too many levels.
    """
    if depth > _MOST_INCLUDES:  # As in a text value, which no check looks into.
        raise ValueError("a line of a text begins with include: write it otherwise")
    return _INCLUDE.sub(
        lambda found: with_includes(read_utf8(find_gin_file(found[2])), depth + 1), text
    )


def check_depth(depth: int, where: str) -> None:
    """Raises ValueError where files include files in too many levels.

    Args:
        depth: How many files include this one.
        where: What it is called in the error.
    """
    if depth > _MOST_INCLUDES:
        raise ValueError(f"{where}: more than two levels of include: flatten them")


def _by_place(file: str) -> tuple[bool, int, str]:
    """Orders recipes behind other files, and files of deep folders behind others."""
    return "/recipes/" in file, file.count("/"), file


def _beside(name: str) -> Iterator[str]:
    """Yields the gin files in the folder that a path names."""
    folder = os.path.dirname(name)
    try:
        entries = sorted(os.listdir(folder or "."))
    except (OSError, ValueError):
        return
    for entry in entries:
        if entry.endswith(".gin"):
            yield os.path.join(folder, entry)
