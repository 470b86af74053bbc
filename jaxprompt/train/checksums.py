"""SHA-256 of every file of a checkpoint: written when it is whole, checked later."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.json_file import read_json_object

NAME = "sha256.json"
"""File in the folder of a checkpoint; see `_checksums_of`."""


def write_checksums(folder: Path) -> None:
    """Writes the checksums of a checkpoint, which say that it is whole.

    Args:
        folder: Of one checkpoint, whose files are all written.

    Raises:
        OSError: If the file cannot be written.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    text = json.dumps(_checksums_of(found), indent=1)
    write_atomically(folder / NAME, text.encode())


def find_damage(folder: Path) -> str | None:
    """Reads every file of a checkpoint, and compares it with its checksum.

    Args:
        folder: Of one checkpoint; it need not exist.

    Returns:
        What is wrong first, in a few words that name the file; None if nothing is.
    """
    try:
        found = read_json_object(folder / NAME, "")
    except FileNotFoundError:
        return f"{NAME} is missing" if folder.is_dir() else "its folder is missing"
    except ValueError:
        return f"{NAME} is not what was saved"
    expected = found.get("files")
    if not isinstance(expected, dict) or found != _checksums_of(expected):
        return f"{NAME} is not what was saved"
    for name, digest in expected.items():
        try:
            found = _sha256(folder / name)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as err:
            return f"{name} cannot be read: {err.strerror}"
        if found != digest:
            return f"{name} is not what was saved"
    return None


def _checksums_of(files: Mapping[str, Any]) -> dict[str, Any]:
    """Returns "files", name below the folder -> SHA-256, and "sha256" of those."""
    own = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return {"files": files, "sha256": own}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
