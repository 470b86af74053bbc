"""Prompt tuning of Hugging Face PEFT: adapter_config.json and safetensors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprompt.bundled import is_bundled, resolve
from jaxprompt.interop.arrays import (
    check_rows,
    conversion,
    read_tensor,
    round_rows,
    safetensors_bytes,
)
from jaxprompt.interop.exchange import Given, Taken
from jaxprompt.interop.folder import new_folder
from jaxprompt.json_file import read_json_object
from jaxprompt.models.backbone import find_checkpoint
from jaxprompt.models.gpt2_config import GPT2Config
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.quoting import quoted, quoted_path

CONFIG, WEIGHTS, PICKLE = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
TENSOR = "prompt_embeddings"
_TYPE = "PROMPT_TUNING"
_SEQUENCES, _CAUSAL = "SEQ_2_SEQ_LM", "CAUSAL_LM"


def read(path: Path) -> Taken:
    """Reads an adapter's folder.

    PEFT gives T5 two prompts by default, [2P, D], of which it reads and trains the
    first alone: its P rows are kept.

    Args:
        path: The folder that `save_pretrained` wrote.

    Returns:
        The one prompt, and the base model that the config names.

    Raises:
        FileNotFoundError: If the folder or a file is missing.
        ValueError: If the adapter is of another kind or for another task, if its rows
            are not as many as its config says, or if the weights are a pickle, which is
            never read.

    Source: huggingface/peft 0.21, peft_model.py (get_prompt) and
    utils/save_and_load.py.
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
    found = read_tensor(path / WEIGHTS, TENSOR, "this is more, or other, than a prompt")
    rows = check_rows(found, f"{path / WEIGHTS}: {TENSOR}")
    length, width = config["num_virtual_tokens"], config.get("token_dim")
    causal = config["task_type"] == _CAUSAL
    lengths = (length,) if causal else (length, 2 * length)
    if len(rows) not in lengths or width not in (None, rows.shape[1]):
        raise ValueError(
            f"{path}: {TENSOR} is {list(rows.shape)}, but {CONFIG} says "
            f"num_virtual_tokens {length}, token_dim {quoted(width)}: take both from "
            "one adapter"
        )
    notes = ()
    if len(rows) > length:
        notes = (
            f"kept the first {length} of {len(rows)} rows: the rest are PEFT's second "
            "prompt, which it neither trains nor reads for T5",
        )
    prompt = make_prompt(jnp.asarray(rows[:length]))
    name = str(config.get("base_model_name_or_path") or "")
    return Taken((prompt,), name, notes, causal)


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
    rounded, notes = round_rows(np.asarray(prompt.rows[0], np.float32), given.dtype)
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": given.backbone or provenance.backbone,
        "inference_mode": True,
        "modules_to_save": None,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.length,
        "peft_type": _TYPE,
        # How it started needs a tokenizer in PEFT, and changes nothing here.
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "revision": None if given.backbone else provenance.revision,
        "task_type": _CAUSAL if provenance.causal else _SEQUENCES,
        "token_dim": prompt.width,
        "tokenizer_name_or_path": None,
        **_sizes(given.backbone or provenance.backbone, prompt.width, given.backbone),
    }
    with new_folder(path, {CONFIG, WEIGHTS}) as folder:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")
        (folder / WEIGHTS).write_bytes(safetensors_bytes(TENSOR, rounded))
    return notes


def _sizes(name: str, width: int, chosen: str) -> dict[str, int]:
    """Returns the sizes of a model that lies here; of others PEFT finds them."""
    # A folder's name in a provenance says nothing of where the folder is.
    if not is_bundled(name) and not (chosen and Path(chosen).is_dir()):
        return {}
    model = find_checkpoint(resolve(name)).config
    if model.width != width:
        raise ValueError(
            f"prompt width {width} != model width {model.width}: this is not a prompt "
            f"of {name}"
        )
    layers = model.layers if isinstance(model, GPT2Config) else model.encoder_layers
    return {"num_layers": layers, "num_attention_heads": model.heads}


def _read_config(path: Path) -> Mapping[str, Any]:
    """Reads the config; refuses what is no soft prompt."""
    config = read_json_object(path, "give the folder of an adapter")
    if config.get("peft_type") != _TYPE:
        raise ValueError(
            f"{path}: peft_type {quoted(config.get('peft_type'))} is no soft prompt "
            f"that can be read here: only {_TYPE} can"
        )
    if config.get("task_type") not in (_SEQUENCES, _CAUSAL):
        raise ValueError(
            f"{path}: task_type {quoted(config.get('task_type'))}: only {_SEQUENCES}, "
            f"a prompt of T5's encoder, and {_CAUSAL}, can be read here"
        )
    if config.get("modules_to_save"):
        raise ValueError(
            f"{path}: modules_to_save {quoted(config['modules_to_save'])}: a prompt "
            "file cannot hold trained parts of the model"
        )
    length = config.get("num_virtual_tokens")
    if type(length) is not int or length < 1:
        raise ValueError(f"{path}: num_virtual_tokens {quoted(length)} is no length")
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
