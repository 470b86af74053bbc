"""Soft prompts of Hugging Face PEFT: adapter_config.json and safetensors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprompt.bundled import is_bundled
from jaxprompt.files.json_file import read_json_object
from jaxprompt.interop.arrays import (
    check_rows,
    conversion,
    read_tensors,
    round_rows,
    safetensors_bytes,
)
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.interop.folder import new_folder
from jaxprompt.interop.peft_prefix import (
    CAUSAL,
    CONFIG,
    OF_STATES,
    SEQUENCES,
    TENSOR,
    WEIGHTS,
    read_prefix,
)
from jaxprompt.models.config import Config
from jaxprompt.models.load import find_here
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.screen.quoting import quoted, quoted_path

PICKLE = "adapter_model.bin"
COLUMNS, ROWS = "prefix_task_cols", "prefix_task_rows"
_TYPE = "PROMPT_TUNING"
_OF_KEYS = ("PREFIX_TUNING", "CARTRIDGE")
"""Types whose file holds keys and values of every layer, whatever else it says."""
_SECOND = "the rest are PEFT's second prompt, which it neither trains nor reads for T5"
_SECOND_OF_TASKS = (
    "the rest are PEFT's second prompt, which it trains in front of the decoder's "
    "input, but does not read when it generates"
)


def read(path: Path) -> Taken:
    """Reads an adapter's folder, by what it holds, whatever its type is called.

    Rows in front of a text, as of prompt tuning, P-tuning and context-aware prompt
    tuning, are taken as they are: what trained them is folded in when PEFT saves. Where
    tasks have factors, each becomes a prompt: the shared rows times its factors, entry
    by entry. Keys and values of every layer, as of prefix tuning, become those of a
    deep prompt; see `peft_prefix.read_prefix`.

    PEFT gives T5 two prompts by default, [2P, D]: the first P rows are kept, which are
    all that its `generate` reads.

    Args:
        path: The folder that `save_pretrained` wrote.

    Returns:
        The prompts, and the base model that the config names.

    Raises:
        FileNotFoundError: If the folder or a file is missing.
        ValueError: If the adapter holds anything else; if it is for another task; if
            its sizes are not those that its config says; or if the weights are a
            pickle, which is never read.

    Source: huggingface/peft 0.21, peft_model.py (get_prompt, PeftModelForSeq2SeqLM)
    and tuners/multitask_prompt_tuning/model.py.
    """
    # Not Path.is_dir, which fails on a name that is too long.
    if not os.path.isdir(path):
        raise FileNotFoundError(
            f"no folder {quoted_path(path)}: name the one that holds {CONFIG} and "
            f"{WEIGHTS}"
        )
    config = _read_config(path / CONFIG)
    if not (path / WEIGHTS).is_file() and (path / PICKLE).is_file():
        raise ValueError(
            f"{path / PICKLE} is a pickle, which can run any code and is never read: "
            f"convert it once by {conversion(path / PICKLE)}"
        )
    kind = config.get("peft_type")
    tensors = read_tensors(
        path / WEIGHTS,
        [{TENSOR}, {TENSOR, COLUMNS, ROWS}],
        f"an adapter of peft_type {quoted(kind)} is more, or other, than the rows in "
        "front of a text or keys and values, and a prompt file holds these alone",
    )
    rows = check_rows(tensors[TENSOR], f"{path / WEIGHTS}: {TENSOR}")
    name = str(config.get("base_model_name_or_path") or "")
    task, of_tasks = config["task_type"], len(tensors) > 1
    causal = True if task == CAUSAL else False if task == SEQUENCES else None
    if _holds_keys(config, rows):
        prompt, notes = read_prefix(path, config, rows)
        return Taken((prompt,), name, notes, causal)
    if task in OF_STATES:
        raise ValueError(
            f"{path / CONFIG}: task_type {quoted(task)}: only {SEQUENCES}, a prompt of "
            f"T5's encoder, and {CAUSAL}, can be read here; of encoders, keys and "
            "values alone"
        )
    length = _length_of(path, config, rows)
    factors = _factors(path / WEIGHTS, tensors, rows) if of_tasks else [1.0]
    notes = ()
    if len(rows) > length:
        rest = _SECOND_OF_TASKS if of_tasks else _SECOND
        notes = (f"kept the first {length} of {len(rows)} rows: {rest}",)
    prompts = tuple(
        make_prompt(jnp.asarray((rows * factor)[:length])) for factor in factors
    )
    return Taken(prompts, name, notes, causal)


def _holds_keys(config: Mapping[str, Any], rows: np.ndarray) -> bool:
    """Whether the numbers of a token are keys and values, not a row."""
    layers, width = config.get("num_layers"), config.get("token_dim")
    is_wide = (
        type(layers) is int
        and type(width) is int
        and rows.shape[1] == 2 * layers * width
    )
    return is_wide or config.get("peft_type") in _OF_KEYS


def _length_of(path: Path, config: Mapping[str, Any], rows: np.ndarray) -> int:
    """Returns the prompt length P that the config says, which the rows must fit."""
    length, width = config.get("num_virtual_tokens"), config.get("token_dim")
    if type(length) is not int or length < 1:
        raise ValueError(
            f"{path / CONFIG}: num_virtual_tokens {quoted(length)} is no length"
        )
    causal = config["task_type"] == CAUSAL
    lengths = (length,) if causal else (length, 2 * length)
    if len(rows) not in lengths or width not in (None, rows.shape[1]):
        raise ValueError(
            f"{path}: {TENSOR} is {list(rows.shape)}, but {CONFIG} says "
            f"num_virtual_tokens {length}, token_dim {quoted(width)}: take both from "
            "one adapter"
        )
    return length


def _factors(
    path: Path, tensors: Mapping[str, np.ndarray], rows: np.ndarray
) -> np.ndarray:
    """Multiplies each task's low-rank factors: [tasks, rows, D]."""
    columns = check_rows(tensors[COLUMNS], f"{path}: {COLUMNS}", axes=3)
    of_tasks = check_rows(tensors[ROWS], f"{path}: {ROWS}", axes=3)
    tasks, rank = len(columns), columns.shape[2]
    if columns.shape[1] != len(rows) or of_tasks.shape != (tasks, rank, rows.shape[1]):
        raise ValueError(
            f"{path}: {COLUMNS} is {list(columns.shape)} and {ROWS} "
            f"{list(of_tasks.shape)}, but for {TENSOR} {list(rows.shape)} they must be "
            "[tasks, rows, rank] and [tasks, rank, D]: the file is damaged"
        )
    return columns @ of_tasks


def write(path: Path, given: Given) -> tuple[str, ...]:
    """Writes an adapter's folder that `PeftModel.from_pretrained` loads, at once.

    Args:
        path: The folder; one that is there is replaced, unless it holds other files.
        given: One prompt.

    Returns:
        What was rounded. PEFT itself computes in float32, whatever the file holds.

    Raises:
        FileNotFoundError: If the parent folder does not exist.
        ValueError: If the folder holds other files, the dtype cannot hold a number, or
            the backbone is a folder of another width.
    """
    (prompt,), (provenance,) = given.prompts, given.provenances
    rounded, notes = round_rows(prompt.soft_rows(alone="form peft"), given.dtype)
    name = given.backbone or provenance.backbone
    model = _find_model(name, prompt.width, given.backbone)
    causal = provenance.causal if model is None else model.causal
    if causal is None:
        raise ValueError(
            f"PEFT must be told whether {name} has a decoder only, and that is not "
            "known of this prompt: give the model's folder as --backbone, here or when "
            "the prompt is imported"
        )
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": name,
        "inference_mode": True,
        "modules_to_save": None,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.length,
        "peft_type": _TYPE,
        # How it started needs a tokenizer in PEFT, and changes nothing here.
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "revision": None if given.backbone else provenance.revision,
        "task_type": CAUSAL if causal else SEQUENCES,
        "token_dim": prompt.width,
        "tokenizer_name_or_path": None,
        **_sizes(model),
    }
    with new_folder(path, {CONFIG, WEIGHTS}) as folder:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")
        (folder / WEIGHTS).write_bytes(safetensors_bytes(TENSOR, rounded))
    return notes


def _find_model(name: str, width: int, chosen: str) -> Config | None:
    """Returns the sizes of a model that lies here; None of another."""
    # A folder's name in a provenance says nothing of where the folder is.
    found = find_here(name) if chosen or is_bundled(name) else None
    if found is None:
        return None
    if found.config.width != width:
        raise ValueError(
            f"prompt width {width} != model width {found.config.width}: this is not a "
            f"prompt of {name}"
        )
    return found.config


def _sizes(model: Config | None) -> dict[str, int]:
    """Returns the sizes that PEFT asks for; of a model that is not here it has them."""
    if model is None:
        return {}
    # Those of the stack that reads the prompt: the encoder, where there is one.
    first = next(iter(model.sites.values()))
    return {"num_layers": first.layers, "num_attention_heads": model.heads}


def _read_config(path: Path) -> Mapping[str, Any]:
    """Reads the config; refuses what no prompt file can hold."""
    config = read_json_object(path, "give the folder of an adapter")
    known = (SEQUENCES, CAUSAL, *OF_STATES)
    if config.get("task_type") not in known:
        raise ValueError(
            f"{path}: task_type {quoted(config.get('task_type'))} is none of "
            f"{', '.join(known)}"
        )
    if config.get("modules_to_save"):
        raise ValueError(
            f"{path}: modules_to_save {quoted(config['modules_to_save'])}: a prompt "
            "file cannot hold trained parts of the model"
        )
    _check_name(config.get("base_model_name_or_path"), path)
    return config


def _check_name(name: Any, path: Path) -> None:
    """Refuses a name of the base model that is none, or could not be printed."""
    if name is None:
        return
    if not isinstance(name, str) or any("\ud800" <= x <= "\udfff" for x in name):
        raise ValueError(
            f"{path}: base_model_name_or_path {quoted(name)} is no text: give the name "
            "of the model"
        )
