"""Encoders in Hugging Face folders: config.json and the names of their tensors."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.families.family import HuggingFace, TensorLayout
from jaxprompt.models.families.forms.checked_settings import (
    SIZES,
    number,
    refuse_unless,
    size,
)
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Tensors, TensorSource
from jaxprompt.screen.quoting import quoted

_SIZES = {**SIZES, "types": "type_vocab_size"}
_REQUIRED = {
    "add_cross_attention": False,
    "is_decoder": False,
    "position_embedding_type": "absolute",
}
_TABLES = {
    "embedding": "word_embeddings",
    "positions": "position_embeddings",
    "types": "token_type_embeddings",
}
_TABLE = f"embeddings.{_TABLES['embedding']}.weight"
_LAYERS = "encoder.layer."
_POOLER = "pooler.dense"
_NORMS = {
    "attention_norm": "attention.output.LayerNorm",
    "ffn_norm": "output.LayerNorm",
}
_MATRICES = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/out": "attention.output.dense",
    "ffn/up": "intermediate.dense",
    "ffn/down": "output.dense",
}


class TensorNames(NamedTuple):
    """How the tensors of one family are called where families differ.

    Attributes:
        body: What files of the whole model put before every name of its body.
        fill: Of the masked-LM head, its dense layer, its norm and the bias of words.
        copies: Tensors that hold the embedding table again.
        unused: Tensors that are known and that the model does not read, such as the
            head of next-sentence prediction and copies of the bias of words.
    """

    body: str
    fill: tuple[str, str, str]
    copies: tuple[str, ...]
    unused: tuple[str, ...]


def hugging_face_form(
    names: TensorNames,
    *,
    model_type: str,
    make: type[EncoderConfig],
    defaults: Mapping[str, Any],
    tokenizer_class: str,
    architecture: str,
) -> HuggingFace:
    """Makes the form of one family.

    Args:
        names: Of its tensors.
        model_type: What `model_type` of config.json says.
        make: The class of its config.
        defaults: What transformers takes where config.json does not say.
        tokenizer_class: The class of transformers that reads its tokenizer.
        architecture: What `architectures` of a written config.json says.
    """

    def read_config(
        settings: Mapping[str, Any], path: Path, tensors: Tensors
    ) -> EncoderConfig:
        refuse_unless(settings, _REQUIRED, path, make.family)
        body = _body_of(names, tensors.shapes)
        config = make(**_fields(names, settings, defaults, path, tensors))
        sizes = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
        check_sizes(path, sizes, {"num_hidden_layers": f"{body}{_LAYERS}"}, tensors)
        return config

    def write_config(config: EncoderConfig, dtype: str) -> dict[str, Any]:
        return {
            **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
            **_REQUIRED,
            "architectures": [architecture],
            "attention_probs_dropout_prob": 0.0,
            "hidden_act": config.activation,
            "hidden_dropout_prob": 0.0,
            "layer_norm_eps": config.norm_epsilon,
            "model_type": model_type,
            "pad_token_id": config.pad_token_id,
            "torch_dtype": dtype,
        }

    return HuggingFace(
        model_types=(model_type,),
        # Both the pooler and the masked-LM head, where a family has them.
        auto_class="AutoModelForPreTraining",
        read_config=read_config,
        write_config=write_config,
        layout=lambda config, found: _layout(names, config, found),
        tokenizer_class=tokenizer_class,
    )


def _fields(
    names: TensorNames,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any],
    path: Path,
    tensors: Tensors,
) -> dict[str, Any]:
    """Reads the fields of a config."""
    activation = settings.get("hidden_act", "gelu")
    body, pad = _body_of(names, tensors.shapes), defaults["pad_token_id"]
    if settings.get("pad_token_id", pad) is not None:
        pad = size(settings, "pad_token_id", path, pad, least=0)
    sizes = {
        ours: size(settings, theirs, path, defaults.get(theirs))
        for ours, theirs in _SIZES.items()
    }
    fields = {
        **sizes,
        "activation": {"swish": "silu"}.get(activation, activation),
        "norm_epsilon": number(settings, "layer_norm_eps", path, 1e-12),
        "pooler": f"{body}{_POOLER}.weight" in tensors.shapes,
        "fills": f"{names.fill[0]}.weight" in tensors.shapes,
        "pad_token_id": pad,
    }
    if not isinstance(activation, str):
        raise ValueError(f"{path}: hidden_act {quoted(activation)} is no activation")
    return fields


def _body_of(names: TensorNames, found: Collection[str]) -> str:
    """Returns what stands before every name of the body: nothing in its own files."""
    return names.body if f"{names.body}{_TABLE}" in found else ""


def _layout(
    names: TensorNames, config: EncoderConfig, found: Collection[str] | None
) -> TensorLayout:
    body = names.body if found is None else _body_of(names, found)
    found = () if found is None else found
    # Files that were made of the first released ones call scale and bias otherwise.
    old = f"{body}embeddings.LayerNorm.gamma" in found
    scale, bias = ("gamma", "beta") if old else ("weight", "bias")

    def per_layer(name: str, *, matrix: bool = False) -> TensorSource:
        stored = (f"{body}{_LAYERS}{n}.{name}" for n in range(config.layers))
        return TensorSource(tuple(stored), stacked=True, transposed=matrix)

    def dense(name: str) -> dict[str, TensorSource]:
        weight = TensorSource((f"{name}.weight",), transposed=True)
        return {"weight": weight, "bias": TensorSource((f"{name}.bias",))}

    def norm(name: str) -> dict[str, TensorSource]:
        stored = {"scale": f"{name}.{scale}", "bias": f"{name}.{bias}"}
        return {part: TensorSource((tensor,)) for part, tensor in stored.items()}

    padding = config.row_padding
    sources = {
        ours: TensorSource((f"{body}embeddings.{theirs}.weight",))
        for ours, theirs in _TABLES.items()
    }
    sources["embedding"] = TensorSource((f"{body}{_TABLE}",), padding=padding)
    own = norm(f"{body}embeddings.LayerNorm")
    sources |= {f"embedding_norm/{part}": source for part, source in own.items()}
    for ours, theirs in _NORMS.items():
        sources[f"layers/{ours}/scale"] = per_layer(f"{theirs}.{scale}")
        sources[f"layers/{ours}/bias"] = per_layer(f"{theirs}.{bias}")
    for ours, theirs in _MATRICES.items():
        sources[f"layers/{ours}"] = per_layer(f"{theirs}.weight", matrix=True)
        sources[f"layers/{ours}_bias"] = per_layer(f"{theirs}.bias")
    if config.pooler:
        own = dense(f"{body}{_POOLER}")
        sources |= {f"pooler/{part}": source for part, source in own.items()}
    if config.fills:
        matrix, layer_norm, word_bias = names.fill
        own = dense(matrix)
        own |= {f"norm/{part}": at for part, at in norm(layer_norm).items()}
        own["word_bias"] = TensorSource((word_bias,), padding=padding)
        sources |= {f"fill/{part}": source for part, source in own.items()}
    return TensorLayout(
        sources,
        copies=tuple(name for name in names.copies if name in found),
        unused=frozenset({*names.unused, f"{body}embeddings.position_ids"} & {*found}),
    )
