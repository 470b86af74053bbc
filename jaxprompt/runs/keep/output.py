"""The file that a command writes: refused before the work, written in one go."""

import json
from pathlib import Path
from typing import Any

from jaxprompt.files.atomic import write_atomically
from jaxprompt.screen.quoting import quoted_path


def check_output(output: Path | None, overwrite: bool, *, folder: bool = False) -> None:
    """Refuses a file that cannot be written, or may not.

    Args:
        output: The file to be; None for none.
        overwrite: Whether it may exist.
        folder: Whether it may be a folder, which the caller then looks into.

    Raises:
        ValueError: If it exists against that, is a link or a folder, has no name, or
            its folder does not exist.
    """
    if output is None:
        return
    if "\0" in str(output):
        raise ValueError(f"{str(output)!r} names no file: it holds a NUL")
    if not output.name:
        raise ValueError(f"output {quoted_path(output)} names no file: give it a name")
    if output.is_symlink():
        target = quoted_path(output.readlink())
        raise ValueError(f"{quoted_path(output)} is a link to {target}: name that file")
    if output.is_dir() and not folder:
        raise ValueError(
            f"output {quoted_path(output)} is a folder, and a file is to be written: "
            "name one in it"
        )
    if output.exists() and not overwrite:
        raise ValueError(
            f"{quoted_path(output)} exists: name another file, or say --overwrite"
        )
    if not output.absolute().parent.is_dir():
        raise ValueError(
            f"no folder {quoted_path(output.absolute().parent)} for {output.name}"
        )


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, for people too: indented, in UTF-8."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode())
