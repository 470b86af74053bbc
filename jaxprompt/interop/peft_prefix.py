"""Keys and values of every layer as prefix tuning of Hugging Face PEFT, both ways."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprompt.interop.arrays import safetensors_bytes
from jaxprompt.interop.folder import new_folder
from jaxprompt.models.backbone import Backbone, Writer
from jaxprompt.models.config import Config, Site, SiteName
from jaxprompt.models.families import family_of
from jaxprompt.prompts.flat import flatten
from jaxprompt.prompts.prompt import Deep, Prompt, make_deep, make_prompt
from jaxprompt.screen.quoting import quoted
from jaxprompt.shapes import Params

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TENSOR = "prompt_embeddings"
CAUSAL, SEQUENCES = "CAUSAL_LM", "SEQ_2_SEQ_LM"
OF_STATES = ("FEATURE_EXTRACTION", "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
"""Task types of models that a head reads, which are encoders here."""

_NUMBERS_A_LAYER_OF_T5 = 4
"""Keys and values of self-attention, and of cross-attention, as PEFT deals them out."""


def read_prefix(
    where: Path, config: Mapping[str, Any], rows: Float[np.ndarray, "P F"]
) -> tuple[Prompt, tuple[str, ...]]:
    """Makes the prompt of an adapter that holds keys and values.

    Its text stands behind them: it begins at position P.

    Args:
        where: The adapter's folder, for error messages.
        config: Content of its config.
        rows: Of each soft token the key of the first layer, its value, the key of the
            second, and so on.

    Returns:
        The prompt, whose width is 0, for an adapter does not say the model's; and what
        was left out of it, a sentence each.

    Raises:
        ValueError: If the config has other sizes than the rows.

    Source: huggingface/peft 0.21, peft_model.py (get_prompt).
    """
    names = ("num_virtual_tokens", "num_layers", "num_attention_heads", "token_dim")
    sizes: dict[str, Any] = {name: config.get(name) for name in names}
    sound = all(type(size) is int and size > 0 for size in sizes.values())
    length, layers, heads, width = (size if sound else 1 for size in sizes.values())
    if not sound or rows.shape != (length, 2 * layers * width) or width % heads:
        told = ", ".join(f"{name} {quoted(size)}" for name, size in sizes.items())
        raise ValueError(
            f"{where}: {TENSOR} is {list(rows.shape)}, but {CONFIG} says {told}, which "
            "is [tokens, 2 * layers * token_dim]: take both from one adapter"
        )
    slabs_2NPGK = np.moveaxis(
        rows.reshape(length, 2 * layers, heads, width // heads), 1, 0
    )
    site: SiteName = "encoder" if config["task_type"] in OF_STATES else "decoder"
    notes: tuple[str, ...] = ()
    keys, values = slabs_2NPGK[0::2], slabs_2NPGK[1::2]
    if config["task_type"] == SEQUENCES:
        keys, values, notes = _of_t5(slabs_2NPGK)
    deep = make_deep(jnp.asarray(keys), jnp.asarray(values), in_front=True)
    return make_prompt(jnp.zeros((0, 0)), {site: deep}), notes


def _of_t5(slabs: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Returns what the layers of a T5's decoder get from PEFT.

    PEFT deals the keys and values out by fours, two for the self-attention of a layer
    and two for its cross-attention, which it drops, and begins anew where they end. An
    adapter whose num_layers is twice the decoder's, with nothing in the second two,
    means what it says; in any other, half of what was trained is never read.
    """
    by_fours = slabs.reshape(-1, _NUMBERS_A_LAYER_OF_T5, *slabs.shape[1:])
    if len(slabs) % 4 == 0 and not by_fours[:, 2:].any():
        return by_fours[:, 0], by_fours[:, 1], ()
    layers = len(slabs) // 2
    firsts = [(_NUMBERS_A_LAYER_OF_T5 * layer) % len(slabs) for layer in range(layers)]
    note = (
        f"kept what PEFT's T5 reads: its {layers} layers read {len({*firsts})} of "
        f"{layers} pairs of keys and values, the others never"
    )
    return slabs[firsts], slabs[[first + 1 for first in firsts]], (note,)


def for_model(prompt: Prompt, model: Config | None, name: str) -> Prompt:
    """Gives a prompt from `read_prefix` the width of its model.

    Args:
        prompt: Of keys and values.
        model: Sizes and switches of the model; None if it is not here.
        name: What the model is called.

    Raises:
        ValueError: If the model is not here, or has other layers or heads.
    """
    if model is None:
        raise ValueError(
            f"keys and values for {name}, which is not here, and they do not say how "
            "wide it is: give its folder as --backbone"
        )
    for site, deep in prompt.deep.items():
        found = Site(deep.keys.shape[1], *deep.keys.shape[3:])
        if model.sites.get(site) != found:
            raise ValueError(
                f"keys and values at {site!r} of {found}, but {name} has "
                f"{model.sites.get(site)}: name the model that they were trained on"
            )
    return Prompt(jnp.zeros((1, 0, model.width)), prompt.deep)


def prefix_of(backbone: Backbone, model: Params, prompt: Prompt) -> Deep:
    """Returns a prompt's keys and values: its own, or what its soft tokens become.

    Args:
        backbone: The functions of the model that it was trained on.
        model: Its weights; {} for a prompt of keys and values.
        prompt: A bank of one, which `check_prefix` has let pass.
    """
    if prompt.deep:
        (deep,) = prompt.deep.values()
        return deep
    keys, values = jax.jit(backbone.keys_values)(model, prompt.rows)["decoder"]
    return make_deep(keys[:, 0], values[:, 0], in_front=True)


def write_prefix(
    path: Path, backbone: Backbone, model: Params, prompt: Prompt, name: str
) -> None:
    """Writes an adapter's folder that `PeftModel.from_pretrained` loads, at once.

    Soft tokens are folded to what they are inside the model: keys and values of each
    layer, 2*N*G*K numbers a soft token instead of D. The logits are the same ones, and
    the prompt is not computed again for every row.

    Args:
        path: The folder; one that is there is replaced, unless it holds other files.
        backbone: The functions of the model that it was trained on.
        model: Its weights; {} for a prompt of keys and values.
        prompt: A bank of one, which `check_prefix` has let pass.
        name: The model to name in the config: a Hub name or a folder.

    Raises:
        FileNotFoundError: If the parent folder does not exist.
        ValueError: If the folder holds other files.

    Source: huggingface/peft 0.21, peft_model.py (get_prompt): [P, 2*N*G*K].
    """
    deep = prefix_of(backbone, model, prompt)
    task = CAUSAL if backbone.causal else OF_STATES[0]
    if not backbone.causal and isinstance(backbone, Writer):
        task, deep = SEQUENCES, _for_t5(deep)
    rows = np.asarray(flatten(deep)[0], np.float32)
    layers, length, heads, width = deep.keys.shape[1:]
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": name,
        "encoder_hidden_size": backbone.width,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": heads,
        "num_layers": layers,
        "num_transformer_submodules": 2 if task == SEQUENCES else 1,
        "num_virtual_tokens": length,
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": False,
        "revision": None,
        "task_type": task,
        "token_dim": heads * width,
    }
    with new_folder(path, {CONFIG, WEIGHTS}) as folder:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")
        (folder / WEIGHTS).write_bytes(safetensors_bytes(TENSOR, rows))


def _for_t5(deep: Deep) -> Deep:
    """Puts nothing behind each layer's, where PEFT takes a cross-attention's from."""

    def spread(parts: jax.Array) -> jax.Array:
        pairs = jnp.stack([parts, jnp.zeros_like(parts)], axis=2)
        return pairs.reshape(1, -1, *parts.shape[2:])

    return dataclasses.replace(deep, keys=spread(deep.keys), values=spread(deep.values))


def check_prefix(prompt: Prompt, backbone: Backbone, form: str = "peft_prefix") -> None:
    """Raises ValueError for a prompt that is no prefix to PEFT, or to another form."""
    who = f"form {form}"
    if not prompt.deep:
        prompt.soft_rows(alone=who)
        if not backbone.causal:
            raise ValueError(
                f"{who} for {backbone.name}, which has an encoder: there a prompt "
                "depends on the text behind it and is no prefix, so use peft"
            )
        return
    family = family_of(backbone.config)
    if not family.takes_prefix:
        raise ValueError(
            f"{who} for {backbone.name}: transformers' {family.name} takes no keys and "
            "values in front of a text, so nothing can read it; answer by `predict` or "
            "`serve`"
        )
    if prompt.length:
        raise ValueError(
            f"{who} holds keys and values alone, but this prompt is {prompt.told}"
        )
    for site, deep in prompt.deep.items():
        if site == "cross" or (site == "encoder" and isinstance(backbone, Writer)):
            raise ValueError(
                f"{who} has no keys and values at {site!r}: it gives a T5 those of its "
                "decoder alone"
            )
        if deep.gate is not None:
            raise ValueError(f"{who} has no gates, but those at {site!r} are gated")
        if deep.depth < deep.keys.shape[1]:
            raise ValueError(
                f"{who} gives every layer keys and values, but of those at {site!r} "
                f"{deep.depth} of {deep.keys.shape[1]} are attended to"
            )
        if not deep.in_front:
            raise ValueError(
                f"{who} puts keys and values in front of a text, whose positions then "
                f"begin at {deep.length}, but those at {site!r} have none: train with "
                "--gin.DEEP_IN_FRONT=True"
            )
