"""SHA-256 of every file of a checkpoint: written when it is whole, checked later."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from jaxprompt.atomic import write_atomically

NAME = "sha256.json"
"""File in the folder of a checkpoint; see `_text_of`."""


def write_checksums(folder: Path) -> None:
    """Writes the checksums of a checkpoint, which say that it is whole.

    Args:
        folder: Of one checkpoint, whose files are all written.

    Raises:
        OSError: If the file cannot be written.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    write_atomically(folder / NAME, _text_of(found).encode())


def find_damage(folder: Path) -> str | None:
    """Reads every file of a checkpoint, and compares it with its checksum.

    Args:
        folder: Of one checkpoint; it need not exist.

    Returns:
        What is wrong first, in a few words that name the file; None if nothing is.
    """
    try:
        text = (folder / NAME).read_text(encoding="utf-8")
        expected = json.loads(text)["files"]
        changed = text != _text_of(expected)
    except FileNotFoundError:
        return f"{NAME} is missing" if folder.is_dir() else "its folder is missing"
    except (OSError, ValueError, TypeError, KeyError):  # Not text, not JSON, not ours.
        changed, expected = True, {}
    if changed:
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


def _text_of(files: Mapping[str, str]) -> str:
    """Returns JSON: "files", name below the folder -> SHA-256; "sha256" of those."""
    own = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return json.dumps({"files": files, "sha256": own}, indent=1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
