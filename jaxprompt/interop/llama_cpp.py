"""llama.cpp's raw embeddings: a .npy file, float32 [P, D], for `llama_batch.embd`."""

import dataclasses
from pathlib import Path

from jaxprompt.interop import google
from jaxprompt.interop.exchange import Given, Taken


def read(path: Path) -> Taken:
    """Reads rows, which are a decoder's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but finite float32 [P, D] with one row or
            more. A pickle is never read.

    Source: ggml-org/llama.cpp, include/llama.h (llama_batch): float embeddings in the
    place of ids, row after row.
    """
    return dataclasses.replace(google.read(path), causal=True)


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Writes the soft tokens alone, atomically.

    Args:
        path: The file to write; an existing one is replaced.
        given: One prompt.

    Returns:
        What was rounded: nothing.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    (prompt,) = given.prompts
    prompt.soft_rows(alone="form llama_cpp")
    return google.write(path, given)
