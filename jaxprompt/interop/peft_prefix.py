"""A prompt of a decoder-only model as prefix tuning of Hugging Face PEFT."""

import json
from pathlib import Path

import jax
import numpy as np

from jaxprompt.interop.arrays import safetensors_bytes
from jaxprompt.interop.folder import new_folder
from jaxprompt.interop.peft import CONFIG, TENSOR, WEIGHTS
from jaxprompt.models.backbone import Backbone, writer_of
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Params


def write_prefix(
    path: Path, backbone: Backbone, model: Params, prompt: Prompt, name: str
) -> None:
    """Writes an adapter's folder that `PeftModel.from_pretrained` loads, at once.

    The prompt is folded to what it is inside the model: keys and values of each layer,
    2*N*G*K numbers a soft token instead of D. The logits are the same ones, and the
    prompt is not computed again for every row.

    Args:
        path: The folder; one that is there is replaced, unless it holds other files.
        backbone: The functions of the model that it was trained on.
        model: Its weights.
        prompt: A bank of one.
        name: The model to name in the config: a Hub name or a folder.

    Raises:
        FileNotFoundError: If the parent folder does not exist.
        ValueError: If the folder holds other files.

    Source: huggingface/peft 0.21, peft_model.py (get_prompt): [P, 2*N*G*K], of each
    token the key of the first layer, its value, the key of the second, ...
    """
    prompt.soft_rows(alone="form peft_prefix")
    keys, values = jax.jit(writer_of(backbone).fold)(model, prompt.rows)
    both_NZPHK = np.stack([np.asarray(keys)[:, 0], np.asarray(values)[:, 0]], axis=1)
    rows = np.moveaxis(both_NZPHK, 2, 0).reshape(prompt.length, -1)
    heads, width = keys.shape[-2:]
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": name,
        "encoder_hidden_size": backbone.width,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": heads,
        "num_layers": len(keys),
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.length,
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": False,
        "revision": None,
        "task_type": "CAUSAL_LM",
        "token_dim": heads * width,
    }
    with new_folder(path, {CONFIG, WEIGHTS}) as folder:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")
        content = safetensors_bytes(TENSOR, rows.astype(np.float32))
        (folder / WEIGHTS).write_bytes(content)
