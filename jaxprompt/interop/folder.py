"""A folder that is whole or not there: written beside its place, then renamed."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from jaxprompt.files.atomic import write_folder
from jaxprompt.screen.quoting import quoted_path


@contextlib.contextmanager
def new_folder(path: Path, names: Collection[str]) -> Iterator[Path]:
    """Makes a folder at once, when the body of the `with` has filled it.

    Args:
        path: The folder to be. One that is there already is replaced, but only if it
            holds nothing else than the new one will.
        names: What the body writes.

    Yields:
        An empty folder beside `path`, for the body to fill.

    Raises:
        FileNotFoundError: If its parent does not exist.
        ValueError: If `path` is a file, or a folder with something else in it.
    """
    path = path.absolute()
    check_replaceable(path, names)
    with write_folder(path) as scratch:
        yield scratch


def check_replaceable(path: Path, names: Collection[str]) -> None:
    """Refuses a place where `new_folder` would not put these files."""
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"no folder {quoted_path(path.parent)} for {path.name}: make it"
        )
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir() or path.is_symlink():
        raise ValueError(f"{path} is no folder of files: name another place")
    # A slip in --output must not cost a folder of other things.
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in names)
    if others:
        raise ValueError(
            f"{path} holds {others[0]}, which is no part of this export: name a new "
            "folder"
        )
