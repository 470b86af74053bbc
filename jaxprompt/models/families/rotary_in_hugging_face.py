"""Decoders with rotary positions in Hugging Face folders: what all families share."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jaxprompt.models.decoder.config import RotaryConfig
from jaxprompt.models.families.checked_settings import flag, token_ids
from jaxprompt.models.families.family import Layout
from jaxprompt.models.families.rope_settings import read_rope, write_rope
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Source, Tensors
from jaxprompt.quoting import quoted

AnyRotaryConfig = TypeVar("AnyRotaryConfig", bound=RotaryConfig)

_TABLE, _HEAD, _BODY = "embed_tokens.weight", "lm_head.weight", "model."
# Frequencies, which old versions saved with the weights.
_BUFFER = "self_attn.rotary_emb.inv_freq"
_SIZES = {
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "ffn_width": "intermediate_size",
    "layers": "num_hidden_layers",
    "positions": "max_position_embeddings",
}
_OTHER_SIZES = {"kv_heads": "num_key_value_heads", "head_width": "head_dim"}
_ACTIVATIONS = {"swish": "silu", "gelu_pytorch_tanh": "gelu_new"}
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_MATRICES = {
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/out": "self_attn.o_proj",
    "ffn/gate": "mlp.gate_proj",
    "ffn/up": "mlp.up_proj",
    "ffn/down": "mlp.down_proj",
}
_NORMS = {
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
# The same name is another norm where there are norms behind the layers too.
_NORMS_WITH_OUT = {
    "attention_norm": "input_layernorm",
    "attention_out_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_out_norm": "post_feedforward_layernorm",
}


def read_sizes(
    settings: Mapping[str, Any],
    path: Path,
    *,
    theta: float = 10_000.0,
    tied: bool = False,
    epsilon: float = 1e-6,
    activation: str = "hidden_act",
    ids: tuple[int | None, int | None, int | None] = (None, None, None),
    layer_type: str | None = None,
) -> dict[str, Any]:
    """Reads the fields of `RotaryConfig`, but for sliding layers.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.
        theta: Base of rotary positions where it does not say.
        tied: Whether there is one vocabulary matrix, where it does not say.
        epsilon: That of the norms, where it does not say.
        activation: The setting that names the activation.
        ids: The first, the last and the padding token, where it does not say.
        layer_type: As for `read_rope`.

    Raises:
        ValueError: If a setting is missing or impossible.
    """
    missing = [key for key in _SIZES.values() if key not in settings]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}: is this a whole config?")
    if settings["vocab_size"] == 0:  # Only a model that is trained anew may leave it.
        raise ValueError(f"{path}: vocab_size 0: is this a whole config?")
    fields = {ours: settings[theirs] for ours, theirs in _SIZES.items()}
    fields["kv_heads"] = _or(settings, "num_key_value_heads", fields["heads"])
    if settings.get("head_dim") is not None:
        fields["head_width"] = settings["head_dim"]
    else:
        fields["head_width"] = _divided(path, fields["width"], fields["heads"])
    named = _or(settings, activation, "silu")
    fields["activation"] = _ACTIVATIONS.get(str(named), named)
    fields["norm_epsilon"] = settings.get("rms_norm_eps", epsilon)
    fields["tied"] = flag(settings, "tie_word_embeddings", str(path), default=tied)
    fields["theta"], fields["scaling"] = read_rope(settings, path, theta, layer_type)
    for key, default in zip(_IDS, ids, strict=True):
        fields[key] = token_ids(settings, key, str(path), default)
    return fields


def _or(settings: Mapping[str, Any], key: str, default: Any) -> Any:
    found = settings.get(key)
    return default if found is None else found


def _divided(path: Path, width: Any, heads: Any) -> int:
    if type(width) is not int or type(heads) is not int or heads < 1 or width % heads:
        raise ValueError(
            f"{path}: hidden_size {quoted(width)} is not divisible by "
            f"num_attention_heads {quoted(heads)}, and there is no head_dim"
        )
    return width // heads


def make_config(
    kind: type[AnyRotaryConfig], path: Path, tensors: Tensors, fields: dict[str, Any]
) -> AnyRotaryConfig:
    """Makes a config, and checks that it can be that of the tensors beside it.

    Args:
        kind: The family's class.
        path: The config.json, for error messages.
        tensors: What is beside it.
        fields: From `read_sizes`, and the family's own.

    Raises:
        ValueError: If a field is impossible, or the tensors cannot have these sizes.
    """
    try:
        config = kind(**fields)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err
    names = {**_SIZES, **_OTHER_SIZES}
    del names["positions"]  # No tensor is as long as a text.
    sizes = {theirs: getattr(config, ours) for ours, theirs in names.items()}
    layers = {"num_hidden_layers": f"{_body_of(tensors.shapes)}layers."}
    check_sizes(path, sizes, layers, tensors)
    return config


def settings_of(
    config: RotaryConfig, dtype: str, model_type: str, auto_class: str
) -> dict[str, Any]:
    """Returns what config.json says of a model, but for the family's own settings.

    Args:
        config: Sizes and switches.
        dtype: Dtype of the stored weights.
        model_type: What it calls the family.
        auto_class: The class of transformers that reads it.
    """
    names = {**_SIZES, **_OTHER_SIZES}
    activations = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
    activations["silu"] = "silu"
    return {
        **{theirs: getattr(config, ours) for ours, theirs in names.items()},
        **write_rope(config.theta, config.scaling, config.positions),
        **{key: getattr(config, key) for key in _IDS},
        "architectures": [auto_class],
        "hidden_act": activations.get(config.activation, config.activation),
        "model_type": model_type,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
        "torch_dtype": dtype,
    }


def layout(config: RotaryConfig, names: Collection[str] | None) -> Layout:
    """Returns where a folder stores the params, by the names of transformers' Llama.

    Args:
        config: Sizes and switches.
        names: The names of all tensors; None for those that transformers gives.
    """
    body = _BODY if names is None else _body_of(names)
    switches = config.switches

    def per_layer(name: str, *, matrix: bool = False) -> Source:
        stored = (f"{body}layers.{n}.{name}" for n in range(config.layers))
        return Source(tuple(stored), stacked=True, transposed=matrix)

    padding = (1, config.vocab_rows - config.vocab_size - 1)
    sources = {
        "embedding": Source((f"{body}{_TABLE}",), padding=padding),
        "final_norm/scale": Source((f"{body}norm.weight",)),
    }
    if not config.tied:
        sources["unembedding"] = Source((_HEAD,), padding=padding)
    for ours, theirs in (_NORMS_WITH_OUT if switches.norms_out else _NORMS).items():
        if switches.norms_out if ours.endswith("_out_norm") else switches.norms_in:
            sources[f"layers/{ours}/scale"] = per_layer(f"{theirs}.weight")
    if switches.heads_normed is not None:
        for ours, theirs in {"query": "q_norm", "key": "k_norm"}.items():
            path = f"layers/attention/{ours}_norm/scale"
            sources[path] = per_layer(f"self_attn.{theirs}.weight")
    biases = {f"attention/{name}" for name in switches.attention_biases}
    for ours, theirs in _MATRICES.items():
        sources[f"layers/{ours}"] = per_layer(f"{theirs}.weight", matrix=True)
        if switches.ffn_biases if ours.startswith("ffn/") else ours in biases:
            sources[f"layers/{ours}_bias"] = per_layer(f"{theirs}.bias")
    names = () if names is None else names
    return Layout(
        sources,
        copies=(_HEAD,) if config.tied and _HEAD in names else (),
        unused=frozenset(name for name in names if name.endswith(_BUFFER)),
    )


def _body_of(names: Collection[str]) -> str:
    """Returns what stands before every name of a file but the output matrix's."""
    return _BODY if any(name.startswith(_BODY) for name in names) else ""
