"""Atomic writes: a file or folder is whole, or it is not there."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jaxprompt.screen.quoting import quoted_path


def write_atomically(path: Path, content: bytes, *, every_host: bool = False) -> None:
    """Writes a file so that no reader, and no crash, ever sees half of it.

    Of many hosts that share a folder, the first writes for all. The file's mode is what
    the process's umask gives a new file; a link is replaced, not followed.

    Args:
        path: Where to write; an existing file is replaced.
        content: The whole file.
        every_host: Whether each host writes, to a folder of its own; no device is then
            looked for.

    Raises:
        FileNotFoundError: If the folder does not exist, on the host that writes.
    """
    if every_host or _is_first_host():
        with open_atomically(path) as file:
            file.write(content)


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that is at its place, whole, when the body of the `with` is done.

    Args:
        path: Where to write; an existing file is replaced.

    Raises:
        FileNotFoundError: If the folder does not exist.
        IsADirectoryError: If the path is a folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"no folder {quoted_path(path.parent)} for {path.name}: make it"
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"{quoted_path(path)} is a folder, and a file is to be written: name one "
            "in it"
        )
    temporary = _name_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Makes a folder at once, when the body of the `with` has filled it.

    Its modes, and those of all that the body writes, are what the process's umask gives
    to new folders and files.

    Args:
        path: The folder to be; one that is there is replaced.

    Yields:
        An empty folder beside `path`, for the body to fill.
    """
    scratch = _name_beside(path)
    scratch.mkdir()
    mode = scratch.stat().st_mode & 0o777
    try:
        yield scratch
        # What comes from temporary or read-only files has modes of its own.
        for entry in (scratch, *scratch.rglob("*")):
            entry.chmod(mode if entry.is_dir() else mode & 0o666)
        _rename(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _is_first_host() -> bool:
    import jax  # Here, so that commands which read no model need not wait for it.

    return jax.process_index() == 0


def _name_beside(path: Path) -> Path:
    # In the same folder: a rename is atomic within one file system only.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _rename(scratch: Path, path: Path) -> None:
    if not path.exists():
        os.rename(scratch, path)
        return
    old = scratch.with_name(f"{scratch.name}.old")
    os.rename(path, old)
    try:
        os.rename(scratch, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old)
