"""Lends gin's one configuration to a reader, and gives it back as it was."""

import contextlib
import threading
from collections.abc import Iterator

import gin
from gin import config

_LOCK = threading.RLock()

# gin offers no configuration apart from the process's own, and no way to put it aside.
_STATE = [
    getattr(config, name)
    for name in ("_CONFIG", "_OPERATIVE_CONFIG", "_IMPORTS", "_SINGLETONS")
]
"""What `gin.clear_config` clears, but for constants, which it keeps."""


@contextlib.contextmanager
def private_gin() -> Iterator[None]:
    """Empties gin's configuration for a while; one thread has it at a time.

    The program around this one may use gin for settings of its own, and a server reads
    prompt files in several threads.
    """
    with _LOCK:
        kept, was_locked = [part.copy() for part in _STATE], gin.config_is_locked()
        gin.clear_config()  # And unlocks it.
        try:
            yield
        finally:
            gin.clear_config()
            for part, before in zip(_STATE, kept, strict=True):
                part.update(before)
            if was_locked:
                gin.finalize()
