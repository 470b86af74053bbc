"""TensorRT-LLM's prompt table: one .npy file of several tasks, [M, P, D]."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxprompt.files.atomic import write_atomically
from jaxprompt.interop.arrays import check_rows, npy_bytes, read_npy, round_rows
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.prompts.prompt import make_prompt, stack

_WANTED = "a prompt table of TensorRT-LLM is a .npy file, [tasks, tokens, width]"


def read(path: Path) -> Taken:
    """Reads a table, such as NeMo's converter writes.

    Tasks with fewer tokens than the longest are filled up with rows of zeros there.
    These rows are left out: no request uses them, but a prompt with them would be
    longer than the one that was trained.

    Args:
        path: The .npy file.

    Returns:
        The prompt of each task, in order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but finite float32 or float16 [M, P, D], or a
            task of zeros alone. A pickle is never read.

    Source: NVIDIA/TensorRT-LLM, tensorrt_llm/runtime/model_runner_cpp.py
    (_prepare_ptuning_executor: a request of task m looks its soft tokens up in
    table[m]); examples/models/core/gpt/nemo_prompt_convert.py.
    """
    table_MPD = check_rows(read_npy(path, _WANTED), str(path), axes=3)
    prompts, notes = [], []
    for task, rows_PD in enumerate(table_MPD):
        used = np.flatnonzero(rows_PD.any(axis=1))
        if used.size == 0:
            raise ValueError(f"{path}: the rows of task {task} are all 0: no prompt")
        length = int(used[-1]) + 1
        if length < len(rows_PD):
            notes.append(
                f"task {task}: left out {len(rows_PD) - length} rows of zeros behind "
                f"its {length} soft tokens, which fill the table up"
            )
        prompts.append(make_prompt(jnp.asarray(rows_PD[:length])))
    return Taken(tuple(prompts), notes=tuple(notes))


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Writes the table of one or more prompts, atomically.

    Args:
        path: The file to write; an existing one is replaced.
        given: Prompts of one length for one model: the tasks 0, 1 and so on.

    Returns:
        What was rounded.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If lengths or widths differ, or the dtype cannot hold a number.
    """
    for prompt in given.prompts:
        prompt.soft_rows(alone="form tensorrt_llm")
    table_MPD = np.asarray(stack(given.prompts).rows, np.float32)
    rounded, notes = round_rows(table_MPD, given.dtype)
    write_atomically(path, npy_bytes(rounded))
    return notes
