"""vLLM's prompt embeddings: a tensor [P, D], here in one .safetensors file."""

from pathlib import Path

import jax.numpy as jnp

from jaxprompt.files.atomic import write_atomically
from jaxprompt.interop.arrays import (
    check_rows,
    read_tensor,
    round_rows,
    safetensors_bytes,
)
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.prompts.prompt import make_prompt

TENSOR = "prompt_embeds"
"""vLLM's name for the argument of a request."""


def read(path: Path) -> Taken:
    """Reads the tensor `prompt_embeds`.

    It is taken whole: if it holds the embeddings of a text behind the soft tokens,
    these become soft tokens too.

    Args:
        path: The .safetensors file. A .pt file is a pickle and never read.

    Returns:
        The one prompt.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no safetensors file with that tensor, [P, D] or [1, P, D].

    Source: vllm-project/vllm, vllm/renderers/embed_utils.py (safe_load_prompt_embeds:
    three dtypes, and a first axis of one is dropped).
    """
    rows = read_tensor(path, TENSOR, "save it under this name, alone")
    rows = rows[0] if rows.ndim == 3 and len(rows) == 1 else rows
    return Taken((make_prompt(jnp.asarray(check_rows(rows, f"{path}: {TENSOR}"))),))


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Writes the soft tokens alone, atomically.

    A request needs the embeddings of its text behind them; docs/interchange.md has the
    lines that make it.

    Args:
        path: The file to write; an existing one is replaced.
        given: One prompt.

    Returns:
        What was rounded.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the dtype cannot hold a number.
    """
    (prompt,) = given.prompts
    rounded, notes = round_rows(prompt.soft_rows(alone="form vllm"), given.dtype)
    write_atomically(path, safetensors_bytes(TENSOR, rounded))
    return notes
