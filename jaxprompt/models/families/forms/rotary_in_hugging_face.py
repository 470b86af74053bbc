"""Decoders with rotary positions in Hugging Face folders: what all families share."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jaxprompt.models.decoder.config import RotaryConfig
from jaxprompt.models.families.family import HuggingFace, TensorLayout
from jaxprompt.models.families.forms.checked_settings import (
    SIZES,
    flag,
    size,
    token_ids,
)
from jaxprompt.models.families.forms.rope_settings import read_rope, write_rope
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Tensors, TensorSource
from jaxprompt.screen.quoting import quoted

AnyRotaryConfig = TypeVar("AnyRotaryConfig", bound=RotaryConfig)

FULL, SLIDING = "full_attention", "sliding_attention"
"""The kinds of layers, as config.json calls them."""

_TABLE, _HEAD, _BODY = "embed_tokens.weight", "lm_head.weight", "model."
# Frequencies, which old versions saved with the weights.
_BUFFER = "self_attn.rotary_emb.inv_freq"
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
    head_width: int | None = None,
    activation: tuple[str, str] = ("hidden_act", "silu"),
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
        head_width: Width of one head, where it does not say; None for that at which all
            heads are together as wide as the model.
        activation: The setting that names the activation, and what it is where it does
            not say.
        ids: The first, the last and the padding token, where it does not say.
        layer_type: As for `read_rope`.

    Raises:
        ValueError: If a setting is missing or impossible.
    """
    missing = [key for key in SIZES.values() if key not in settings]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}: is this a whole config?")
    if settings["vocab_size"] == 0:  # Only a model that is trained anew may leave it.
        raise ValueError(f"{path}: vocab_size 0: is this a whole config?")
    fields = {ours: settings[theirs] for ours, theirs in SIZES.items()}
    fields["kv_heads"] = _or(settings, "num_key_value_heads", fields["heads"])
    fields["head_width"] = settings.get("head_dim", head_width)
    if fields["head_width"] is None:
        fields["head_width"] = _divided(path, fields["width"], fields["heads"])
    fields["activation"] = read_activation(settings, *activation)
    fields["norm_epsilon"] = settings.get("rms_norm_eps", epsilon)
    fields["tied"] = flag(settings, "tie_word_embeddings", path, default=tied)
    fields["theta"], fields["scaling"] = read_rope(settings, path, theta, layer_type)
    for key, default in zip(_IDS, ids, strict=True):
        fields[key] = token_ids(settings, key, path, default)
    return fields


def read_activation(settings: Mapping[str, Any], key: str, default: str) -> Any:
    """Returns what a setting names, by our name where there is one of ours."""
    named = _or(settings, key, default)
    return _ACTIVATIONS.get(str(named), named)


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


def read_sliding(
    settings: Mapping[str, Any],
    path: Path,
    window: int | None,
    slides: Callable[[int], bool],
) -> dict[str, Any]:
    """Reads the fields of `RotaryConfig` that tell which layers slide, and how far.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.
        window: Of the layers that slide, in tokens; None for no such layer.
        slides: Whether a layer, from 0, slides, where there is no list of them.

    Raises:
        ValueError: If the list names other kinds than the two there are, or has another
            length than there are layers.
    """
    if window is None:
        return {}
    kinds, layers = settings.get("layer_types"), settings["num_hidden_layers"]
    if kinds is None:
        sliding = tuple(map(slides, range(layers)))
    elif (
        isinstance(kinds, list)
        and len(kinds) == layers
        and all(kind in (FULL, SLIDING) for kind in kinds)
    ):
        sliding = tuple(kind == SLIDING for kind in kinds)
    else:
        raise ValueError(
            f"{path}: layer_types {quoted(kinds)}: use a list of {FULL!r} and "
            f"{SLIDING!r}, one for each of {layers} layers"
        )
    return {"window": window, "sliding": sliding} if any(sliding) else {}


def write_sliding(config: RotaryConfig) -> dict[str, Any]:
    """Returns what config.json says of the layers that slide."""
    kinds = [SLIDING if config.slides(n) else FULL for n in range(config.layers)]
    return {"sliding_window": config.window, "layer_types": kinds}


def hugging_face_form(
    kind: type[AnyRotaryConfig],
    model_type: str,
    class_name: str,
    read_fields: Callable[[Mapping[str, Any], Path], dict[str, Any]],
    write_fields: Callable[[AnyRotaryConfig], dict[str, Any]],
    layout: Callable[[AnyRotaryConfig, Collection[str] | None], TensorLayout],
) -> HuggingFace:
    """Makes the form of a family from what is its own.

    Args:
        kind: The family's class of sizes and switches.
        model_type: What `model_type` of its config.json says.
        class_name: The class of transformers that its config.json names.
        read_fields: What config.json holds, and its path -> the fields of the config.
        write_fields: Sizes and switches -> the settings of config.json that are the
            family's own, or that it names otherwise.
        layout: As in `HuggingFace`; mostly `layout` below.
    """

    def read_config(
        settings: Mapping[str, Any], path: Path, tensors: Tensors
    ) -> AnyRotaryConfig:
        at = {"num_hidden_layers": f"{_body_of(tensors.shapes)}layers."}
        # First of all: there is one entry for each layer.
        layers = {key: size(settings, key, path) for key in at}
        check_sizes(path, layers, at, tensors)
        fields = read_fields(settings, path)
        try:
            config = kind(**fields)
        except (TypeError, ValueError) as err:
            raise ValueError(f"{path}: {err}") from err
        names = {**SIZES, **_OTHER_SIZES}
        del names["positions"]  # No tensor is as long as a text.
        sizes = {theirs: getattr(config, ours) for ours, theirs in names.items()}
        check_sizes(path, sizes, at, tensors)
        return config

    def write_config(config: AnyRotaryConfig, dtype: str) -> dict[str, Any]:
        return {
            **_settings_of(config),
            "architectures": [class_name],
            "model_type": model_type,
            "torch_dtype": dtype,
            **write_fields(config),
        }

    return HuggingFace(
        (model_type,), "AutoModelForCausalLM", read_config, write_config, layout
    )


def _settings_of(config: RotaryConfig) -> dict[str, Any]:
    """Returns what config.json says of a model, as far as all families say it alike."""
    names = {**SIZES, **_OTHER_SIZES}
    return {
        **{theirs: getattr(config, ours) for ours, theirs in names.items()},
        **write_rope(config.theta, config.scaling, config.positions),
        **{key: getattr(config, key) for key in _IDS},
        "hidden_act": activation_name(config.activation),
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
    }


def activation_name(activation: str) -> str:
    """Returns what these families' config.json calls an activation."""
    return "gelu_pytorch_tanh" if activation == "gelu_new" else activation


def layout(config: RotaryConfig, names: Collection[str] | None) -> TensorLayout:
    """Returns where a folder stores the params, by the names of transformers' Llama.

    Args:
        config: Sizes and switches.
        names: The names of all tensors; None for those that transformers gives.
    """
    body, head = (_BODY, _HEAD) if names is None else (_body_of(names), _head_of(names))
    switches = config.switches

    def per_layer(name: str, *, matrix: bool = False) -> TensorSource:
        stored = (f"{body}layers.{n}.{name}" for n in range(config.layers))
        return TensorSource(tuple(stored), stacked=True, transposed=matrix)

    padding = config.row_padding
    sources = {
        "embedding": TensorSource((f"{body}{_TABLE}",), padding=padding),
        "final_norm/scale": TensorSource((f"{body}norm.weight",)),
    }
    if not config.tied:
        sources["unembedding"] = TensorSource((head,), padding=padding)
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
    return TensorLayout(
        sources,
        copies=(head,) if config.tied and head in names else (),
        unused=frozenset(name for name in names if name.endswith(_BUFFER)),
    )


def _body_of(names: Collection[str]) -> str:
    """Returns what stands before every name of the model but the output matrix's.

    That is nothing in a model saved without its head, and more than usual in a folder
    whose model also reads images.
    """
    tables = [name for name in names if name.endswith(_TABLE)]
    return tables[0].removesuffix(_TABLE) if tables else _BODY


def _head_of(names: Collection[str]) -> str:
    """Returns the name of the output matrix, be it there or not."""
    return next((name for name in names if name.endswith(_HEAD)), _HEAD)
