"""Names of prompts, and where those that are given on the command line lie."""

import os
import re
from pathlib import Path

from jaxprompt.screen.quoting import listed, quoted, quoted_path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of prompts: all that match, but those with two dots in a row."""


def check_name(name: str) -> None:
    """Raises ValueError unless a prompt may have this name: no path, nothing hidden."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or ".." in name:
        raise ValueError(
            f"prompt name {quoted(str(name))}: use up to 100 letters, digits, dots, "
            "dashes and underscores, a letter or digit first"
        )


def read_named(texts: list[str]) -> dict[str, Path]:
    """Reads NAME=PATH of each flag.

    Raises:
        ValueError: If one is no such thing, or two have one name.
        FileNotFoundError: If there is no such file.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise ValueError(
                f"--prompts {quoted(text)}: write NAME=FILE, as "
                "--prompts reviews=out/prompt.safetensors"
            )
        check_name(name)
        if name in found:
            raise ValueError(
                f"--prompts names {name} twice: use one of {listed(map(str, found))}"
            )
        # Not Path.is_file, which fails on a name that is too long.
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"no prompt file at {quoted_path(path)}: check the path"
            )
        found[name] = Path(path)
    return found


def read_folder(text: str | None) -> Path | None:
    """Reads the flag of the folder.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if text is None:
        return None
    if not os.path.isdir(text):
        raise no_folder(text)
    return Path(text)


def no_folder(folder: str | Path) -> FileNotFoundError:
    """Returns what is told where a folder is not there."""
    return FileNotFoundError(
        f"no folder {quoted_path(folder)} of prompts: make it, or check --bank"
    )
