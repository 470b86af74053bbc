"""Decoders in GGUF files: their metadata as config.json says it, and their names.

Source: conversion/ and gguf-py/gguf/constants.py of llama.cpp, which writes such files.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from jaxprompt.models.families.family import GGUF
from jaxprompt.models.families.forms.gguf_facts import Facts
from jaxprompt.screen.quoting import quoted

_LAYER, _GGUF_LAYER = "model.layers.{n}.", "blk.{n}."
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NORMS_AROUND = MappingProxyType(
    {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    }
)
"""Names of layers that have norms behind attention and feed-forward layer too."""

NORMS_BEHIND = MappingProxyType(
    {
        "post_attention_norm": "post_attention_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    }
)
"""Names of layers that have them there alone."""

JOINED = MappingProxyType(
    {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
)
"""Names of layers whose matrices that read the same are one."""

_HEADS = MappingProxyType(
    {
        f"{_GGUF_LAYER}attn_q": "num_attention_heads",
        f"{_GGUF_LAYER}attn_k": "num_key_value_heads",
    }
)


_CHANGING = MappingProxyType(
    {
        "logit_scale": (0.0, 1.0),
        "embedding_scale": (0.0, 1.0),
        "residual_scale": (0.0, 1.0),
        "attention.scale": (0.0,),
        "attention.clamp_kqv": (0.0,),
        "attention.max_alibi_bias": (0.0,),
        "attention.temperature_scale": (0.0,),
        "attention.sliding_window": (0,),
        "attn_logit_softcapping": (0.0,),
        "final_logit_softcapping": (0.0,),
        "rope.scaling.yarn_log_multiplier": (0.0,),
        "expert_count": (0,),
        "use_parallel_residual": (False,),
    }
)
"""What some architectures compute, and only those whose settings it is among read ->
the values that change nothing. OLMo 3 is written as `olmo2` with a window, Granite as
a Llama with scales.

Source: `LLM_KV_NAMES` of llama.cpp, src/llama-arch.cpp.
"""


def decoder_gguf(
    architecture: str,
    *,
    model_type: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
    more: Callable[[Facts, Mapping[str, Any]], dict[str, Any]] | None = None,
    in_pairs: bool = False,
    norms_above_one: bool = False,
) -> GGUF:
    """Describes the GGUF files of one architecture.

    Args:
        architecture: What `general.architecture` says.
        model_type: What config.json calls it; the same by default.
        names: Names of a layer's tensors where they are not those of most models.
        more: What the file says, and the settings so far -> settings of this
            architecture alone, which are added.
        in_pairs: Whether rows of queries and keys lie in pairs.
        norms_above_one: Whether weights of norms are stored larger by 1.
    """

    def read(facts: Facts) -> dict[str, Any]:
        settings = _settings(facts, model_type or architecture)
        found = settings if more is None else settings | more(facts, settings)
        facts.check_unasked(_CHANGING)
        return found

    layer_names = {**_LAYER_NAMES, **names}
    return GGUF(
        architecture,
        read,
        names={
            **_NAMES,
            **{_GGUF_LAYER + k: _LAYER + v for k, v in layer_names.items()},
        },
        in_pairs=_HEADS if in_pairs else MappingProxyType({}),
        norms_above_one=norms_above_one,
    )


def _settings(facts: Facts, model_type: str) -> dict[str, Any]:
    """Returns what config.json says of every decoder."""
    width, heads = facts.size("embedding_length"), facts.size("attention.head_count")
    if heads < 1:
        raise facts.unsound("attention.head_count", f"is {heads}")
    head_width = facts.size("attention.key_length", width // heads)
    value_width = facts.size("attention.value_length", head_width)
    if value_width != head_width:
        raise facts.unsound(
            "attention.value_length",
            f"{value_width} is not attention.key_length {head_width}, and only models "
            "whose values are as wide as their keys are read",
        )
    rows = facts.shapes.get("token_embd.weight", (0,))[0]
    return {
        "model_type": model_type,
        "vocab_size": rows,
        "hidden_size": width,
        "intermediate_size": facts.size("feed_forward_length"),
        "num_hidden_layers": facts.size("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": facts.size("attention.head_count_kv", heads),
        "head_dim": head_width,
        "max_position_embeddings": facts.size("context_length"),
        "rms_norm_eps": facts.real("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in facts.shapes,
        "attention_bias": "blk.0.attn_q.bias" in facts.shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in facts.shapes,
        "bos_token_id": facts.token("bos"),
        "eos_token_id": facts.token("eos"),
        "pad_token_id": facts.token("padding"),
        **_rotary(facts, head_width),
    }


def _rotary(facts: Facts, head_width: int) -> dict[str, Any]:
    """Returns what config.json says of rotary positions."""
    turned = facts.size("rope.dimension_count", head_width)
    found: dict[str, Any] = {"rope_theta": facts.real("rope.freq_base", 10_000.0)}
    if head_width and turned != head_width:
        found["partial_rotary_factor"] = turned / head_width
    if any(name.startswith("rope_factors_") for name in facts.shapes):
        raise facts.unsound(
            "rope.scaling.type",
            "is longrope, which cannot be read: use a model of 4k positions",
        )
    # Linear is what a factor alone means, which older files call otherwise.
    factor = facts.real("rope.scaling.factor", None)
    factor = factor or facts.real("rope.scale_linear", None)
    alone = "none" if factor in (None, 0.0, 1.0) else "linear"
    kind = facts.text("rope.scaling.type", alone)
    if facts.divisors is not None:
        kind, divisors = "longrope", list(facts.divisors)
        # The one kind of config.json that divides each frequency by its own number.
        both = {"short_factor": divisors, "long_factor": divisors}
        scaling = {**both, "attention_factor": 1.0, "factor": 1.0}
    elif kind == "none":
        scaling = {}
    elif kind == "linear":
        scaling = {"factor": factor or facts.real("rope.scaling.factor")}
    elif kind == "yarn":
        scaling = _yarn(facts)
    else:
        raise facts.unsound(
            "rope.scaling.type",
            f"is {quoted(kind)}: only none, linear and yarn are read",
        )
    if scaling:
        found["rope_scaling"] = {"rope_type": kind, **scaling}
    return found


def _yarn(facts: Facts) -> dict[str, Any]:
    start = "rope.scaling."
    for name in ("yarn_ext_factor", "yarn_attn_factor", "attn_factor"):
        value = facts.real(start + name, 1.0)
        if value != 1.0:
            raise facts.unsound(start + name, f"is {value}, and only 1.0 is read")
    found = {
        "factor": facts.real(f"{start}factor"),
        "original_max_position_embeddings": facts.size(
            f"{start}original_context_length", facts.size("context_length")
        ),
    }
    for name in ("beta_fast", "beta_slow"):
        value = facts.real(f"{start}yarn_{name}", None)
        if value is not None:
            found[name] = value
    return found
