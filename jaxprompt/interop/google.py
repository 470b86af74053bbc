"""Prompts of google-research/prompt-tuning: one .npy file, float32 [P, D]."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxprompt.files.atomic import write_atomically
from jaxprompt.interop.arrays import check_rows, npy_bytes, read_npy
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.prompts.prompt import make_prompt

_WANTED = "a prompt is a .npy file, float32 [P, D]"


def read(path: Path) -> Taken:
    """Reads a released prompt, or one that a training has written.

    Args:
        path: The .npy file; in a training's folder it is called
            `numpy_checkpoints/checkpoint_N/encoder.prompt.prompt.prompt`.

    Returns:
        The one prompt.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but finite float32 [P, D] with one row or
            more. A pickle is never read.

    Source: google-research/prompt-tuning, prompt_tuning/train/utils.py and
    prompt_tuning/prompts.py (np_load).
    """
    rows = read_npy(path, _WANTED)
    if rows.ndim != 2 or rows.dtype != np.float32 or rows.size == 0:
        raise ValueError(f"{path} holds {rows.dtype} {list(rows.shape)}: {_WANTED}")
    prompt = make_prompt(jnp.asarray(check_rows(rows, str(path))))
    return Taken((prompt,), causal=False)  # That program knows T5 alone.


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Writes a prompt for that program's PROMPT_FILE, atomically.

    Args:
        path: The file to write, under any name; an existing one is replaced.
        given: One prompt.

    Returns:
        What was rounded: nothing.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    (prompt,) = given.prompts
    write_atomically(path, npy_bytes(prompt.soft_rows(alone="form google")))
    return ()
