"""Atomic writes: a file is whole, or it is not there."""

import os
import tempfile
from pathlib import Path

import jax

from jaxprompt.quoting import quoted_path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that no reader, and no crash, ever sees half of it.

    Of many hosts that share a folder, the first writes for all.

    Args:
        path: Where to write; an existing file is replaced.
        content: The whole file.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"no folder {quoted_path(path.parent)} for {path.name}: make it"
        )
    if jax.process_index() > 0:
        return
    # In the same folder: a rename is atomic within one file system only.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
