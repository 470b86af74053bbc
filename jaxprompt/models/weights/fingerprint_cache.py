"""The fingerprints of weight files that have been read before, in the user's cache."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxprompt.files import file_cache
from jaxprompt.models.fingerprint import VERSION, Fingerprints


def find(files: Sequence[Path], read: Callable[[], Fingerprints]) -> Fingerprints:
    """Returns what is remembered of these files, or else reads and remembers it.

    Args:
        files: All files that hold the weights; of none, nothing is remembered.
        read: Reads them.
    """
    text = file_cache.find("fingerprints", VERSION, files, lambda: " ".join(read()))
    return Fingerprints(*text.split(" "))
