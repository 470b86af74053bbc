"""The fingerprints of weight files that have been read before, in the user's cache."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxprompt.atomic import write_atomically
from jaxprompt.models.fingerprint import VERSION, Fingerprints
from jaxprompt.startup import cache_folder

_FINGERPRINTS = re.compile(rf"({VERSION}[0-9a-f]{{64}}) ([0-9a-f]{{64}}) ([0-9a-f]+)\n")
# A file that changed so lately may change again with no newer time: clocks of file
# systems have coarse ticks.
_SETTLED_SECONDS = 2.0


def find(files: Sequence[Path], read: Callable[[], Fingerprints]) -> Fingerprints:
    """Returns what is remembered of these files, or else reads and remembers it.

    A file is the same while its place, its size, and the times of its last change and
    of its last change of attributes are: `touch` and `cp --preserve` set the former.

    Args:
        files: All files that hold the weights; of none, nothing is remembered.
        read: Reads them.
    """
    key = _key(files)
    try:
        place = cache_folder() / "fingerprints" / key
    except RuntimeError:  # Without a home there is no cache.
        return read()
    found = _remembered(place, key)
    if found is not None:
        return found
    found = read()
    if files and _key(files) == key and _are_settled(files):
        _remember(place, key, found)
    return found


def _key(files: Sequence[Path]) -> str:
    facts = []
    for path in files:
        stat = path.stat()
        times = stat.st_mtime_ns, stat.st_ctime_ns
        facts.append([str(path.resolve()), stat.st_size, *times])
    return hashlib.sha256(json.dumps([VERSION, *facts]).encode()).hexdigest()


def _are_settled(files: Sequence[Path]) -> bool:
    latest = max(max(s.st_mtime, s.st_ctime) for s in (path.stat() for path in files))
    return time.time() - latest > _SETTLED_SECONDS


def _remembered(place: Path, key: str) -> Fingerprints | None:
    """Reads a file of the cache; None if there is none, or it is damaged."""
    try:
        text = place.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    match = _FINGERPRINTS.fullmatch(text)
    if match is None or text != _text_of(key, Fingerprints(match[1], match[2])):
        return None
    return Fingerprints(match[1], match[2])


def _remember(place: Path, key: str, found: Fingerprints) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, _text_of(key, found).encode(), every_host=True)
    except OSError:
        return  # Nothing depends on it: the files are read again next time.


def _text_of(key: str, found: Fingerprints) -> str:
    line = f"{found.current} {found.first}"
    return f"{line} {hashlib.sha256(f'{key} {line}'.encode()).hexdigest()}\n"
