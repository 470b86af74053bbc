"""Prompts of google-research/prompt-tuning: one .npy file, float32 [P, D]."""

import io
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxprompt.atomic import write_atomically
from jaxprompt.prompts.prompt import Prompt, make_prompt


def read_prompt(path: Path) -> Prompt:
    """Reads a released prompt, or one that a training has written.

    Args:
        path: The .npy file; in a training's folder it is called
            `numpy_checkpoints/checkpoint_N/encoder.prompt.prompt.prompt`.

    Returns:
        The prompt, a bank of one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but finite float32 [P, D] with one row or
            more. A pickle is never read.

    Source: google-research/prompt-tuning, prompt_tuning/train/utils.py and
    prompt_tuning/prompts.py (np_load).
    """
    if not path.is_file():
        raise FileNotFoundError(f"no prompt file at {path}: check the path")
    wanted = "a prompt of google-research/prompt-tuning is a .npy file, float32 [P, D]"
    try:
        with path.open("rb") as file:
            rows = np.load(file, allow_pickle=False)
    # ValueError mostly, but an empty file and a cut archive have errors of their own.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read, being cut, a pickle or other: {wanted}"
        ) from error
    if not isinstance(rows, np.ndarray):
        raise ValueError(f"{path} holds several arrays: {wanted}; save one of them")
    if rows.ndim != 2 or rows.dtype != np.float32 or rows.size == 0:
        raise ValueError(f"{path} holds {rows.dtype} {list(rows.shape)}: {wanted}")
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{path} holds numbers that are not finite, so no model can use it: take "
            "another checkpoint"
        )
    return make_prompt(jnp.asarray(rows))


def write_prompt(path: Path, prompt: Prompt) -> None:
    """Writes a prompt for that program's PROMPT_FILE, atomically.

    Args:
        path: The file to write, under any name; an existing one is replaced.
        prompt: A bank of one.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the bank holds more than one prompt.
    """
    if prompt.members != 1:
        raise ValueError(f"a bank of {prompt.members} prompts: take one by unstack")
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(prompt.rows[0], np.float32))
    write_atomically(path, content.getvalue())
