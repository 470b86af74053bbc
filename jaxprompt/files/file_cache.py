"""Keeps what was made of files in the user's cache while these do not change."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxprompt.files.atomic import write_atomically
from jaxprompt.startup import cache_folder

# A file that changed so lately may change again with no newer time: clocks of file
# systems have coarse ticks.
_SETTLED_SECONDS = 2.0


def find(
    kind: str, version: str, files: Sequence[Path], make: Callable[[], str]
) -> str:
    """Returns what is remembered of these files, or else makes and remembers it.

    A file is the same while its place, its size, and the times of its last change and
    of its last change of attributes are: `touch` and `cp --preserve` set the former.

    Args:
        kind: What is made, as "fingerprints": the folder of the cache that keeps it.
        version: How it is made: what another version made is not taken.
        files: All files that it is made of; of none, nothing is remembered.
        make: Makes it of them.
    """
    key = _key(version, files)
    try:
        place = cache_folder() / kind / key
    except RuntimeError:  # Without a home there is no cache.
        return make()
    found = _remembered(place, key)
    if found is not None:
        return found
    found = make()
    if files and _key(version, files) == key and _are_settled(files):
        _remember(place, key, found)
    return found


def _key(version: str, files: Sequence[Path]) -> str:
    facts = []
    for path in files:
        stat = path.stat()
        times = stat.st_mtime_ns, stat.st_ctime_ns
        facts.append([str(path.resolve()), stat.st_size, *times])
    return hashlib.sha256(json.dumps([version, *facts]).encode()).hexdigest()


def _are_settled(files: Sequence[Path]) -> bool:
    latest = max(max(s.st_mtime, s.st_ctime) for s in (path.stat() for path in files))
    return time.time() - latest > _SETTLED_SECONDS


def _remembered(place: Path, key: str) -> str | None:
    """Reads a file of the cache; None if there is none, or it is damaged."""
    try:
        content = place.read_bytes()
        digest, _, text = content.decode().partition("\n")
    except (OSError, ValueError):
        return None
    return text if digest == _digest(key, text) else None


def _remember(place: Path, key: str, text: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        content = f"{_digest(key, text)}\n{text}".encode()
        write_atomically(place, content, every_host=True)
    except OSError:
        return  # Nothing depends on it: it is made again next time.


def _digest(key: str, text: str) -> str:
    return hashlib.sha256(f"{key} {text}".encode()).hexdigest()
