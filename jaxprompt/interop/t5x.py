"""T5X checkpoints of google-research/prompt-tuning: a whole model, a prompt in it."""

import shutil
from pathlib import Path

import jax.numpy as jnp

from jaxprompt.interop.arrays import check_rows
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.interop.folder import new_folder
from jaxprompt.models.weights.t5x_index import (
    INDEX,
    PROMPT,
    add_leaf,
    leaf_names,
    read_index,
    read_leaf,
)
from jaxprompt.prompts.prompt import make_prompt

_WIDTH_OF = "token_embedder.embedding"


def read(path: Path) -> Taken:
    """Reads the prompt alone, whether it lies in the index or beside it.

    Args:
        path: The folder of one step.

    Returns:
        The one prompt.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it has no prompt of the encoder, or this is no finite [P, D].
    """
    index = read_index(path)
    try:
        names = leaf_names(index)
    except (AttributeError, TypeError) as error:  # Of a list, or of names no texts.
        raise ValueError(
            f"{path}: what its index calls the model is no tree of named arrays: give "
            "the folder of one step, such as checkpoint_1100000"
        ) from error
    if PROMPT not in names:
        others = [name for name in names if "prompt" in name]
        raise ValueError(
            f"{path} has no {PROMPT}, but {', '.join(others) or 'no prompt at all'}: "
            "only a prompt of the encoder, one for all layers, can be read"
        )
    rows = read_leaf(path, index, PROMPT)
    prompt = make_prompt(jnp.asarray(check_rows(rows, f"{path}: {PROMPT}")))
    return Taken((prompt,), causal=False)


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Copies the backbone's T5X checkpoint with the prompt in it, at once.

    The optimizer's state stays that of the model: what reads this checkpoint evaluates
    or infers.

    Args:
        path: The folder to make, which T5X wants to be called checkpoint_N; one that is
            there is replaced, unless it holds other files.
        given: One prompt; its backbone is the folder of a T5X checkpoint.

    Returns:
        What was rounded: nothing.

    Raises:
        FileNotFoundError: If the checkpoint or the parent folder does not exist.
        ValueError: If no checkpoint is given, it is no T5X checkpoint or of another
            width, the prompt is of a decoder-only model, or the folder holds other
            files.

    Source: google-research/prompt-tuning, prompt_tuning/scripts/recreate_checkpoint.py.
    """
    if not given.backbone:
        raise ValueError(
            "no checkpoint to put the prompt into: name the T5X folder of its model, "
            "as --backbone=checkpoint_1100000"
        )
    (prompt,), source = given.prompts, Path(given.backbone)
    for provenance in given.provenances:
        if provenance.causal:
            raise ValueError(
                f"form t5x puts a prompt into a T5's encoder, but {provenance.backbone}"
                " has a decoder only: use peft, vllm or tensorrt_llm"
            )
    index = read_index(source)
    if _WIDTH_OF not in leaf_names(index):
        raise ValueError(
            f"{source} has no {_WIDTH_OF}: it is no T5X checkpoint of a T5"
        )
    width = read_leaf(source, index, _WIDTH_OF).shape[1]
    if width != prompt.width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {width}: this is not a prompt "
            f"of {source}"
        )
    names = {entry.name for entry in source.iterdir()}
    rows = prompt.soft_rows(alone="form t5x")
    with new_folder(path, names) as folder:
        shutil.copytree(
            source,
            folder,
            dirs_exist_ok=True,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns(f"target.{PROMPT}"),
        )
        # The source may be read-only, and its folder's mode has been copied.
        folder.chmod(0o755)
        (folder / INDEX).write_bytes(add_leaf(index, PROMPT, rows))
    return ()
