"""T5 in Hugging Face folders: its config.json and its tensors; published sizes."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxprompt.models.families.family import Family, HuggingFace, TensorLayout
from jaxprompt.models.families.forms import t5_in_t5x
from jaxprompt.models.t5 import make_t5
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Tensors, TensorSource
from jaxprompt.screen.quoting import quoted

_SIZES = {
    "vocab_rows": "vocab_size",
    "width": "d_model",
    "heads": "num_heads",
    "head_width": "d_kv",
    "ffn_width": "d_ff",
    "encoder_layers": "num_layers",
}
_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}
_EMBEDDING = "shared.weight"
# The same table again, as some files hold it.
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# Left over from TensorFlow in the 1.0 checkpoints; no T5 has ever used it.
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
_HEAD = "lm_head.weight"


def config_of(settings: Mapping[str, Any], path: Path, *, tied: bool) -> T5Config:
    """Reads sizes and switches from a config.json.

    Read raw, because the configs of transformers 5 rewrite them: whether the output
    matrix is tied is a fact about the weights, and only its scale is in the config.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.
        tied: Whether the weights lack an output matrix of their own.

    Raises:
        ValueError: If a setting is missing or impossible.
    """
    is_mt5 = settings.get("model_type") == "mt5"
    missing = [key for key in _SIZES.values() if key not in settings]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}: is this a whole config?")
    if settings["vocab_size"] == 0:  # Only a model that is trained anew may leave it.
        raise ValueError(f"{path}: vocab_size 0: is this a whole config?")
    projection = settings.get("feed_forward_proj", "gated-gelu" if is_mt5 else "relu")
    if not isinstance(projection, str) or projection.count("-") > 1:
        raise ValueError(
            f"{path}: feed_forward_proj {quoted(projection)}: write gated-gelu or relu"
        )
    activation = settings.get("dense_act_fn", projection.split("-")[-1])
    if projection == "gated-gelu" and "dense_act_fn" not in settings:
        activation = "gelu_new"  # By this name transformers means the tanh form.
    scaled = settings.get(
        "scale_decoder_outputs", settings.get("tie_word_embeddings", True)
    )
    optional = {
        "decoder_layers": settings.get("num_decoder_layers") or settings["num_layers"],
        "buckets": settings.get("relative_attention_num_buckets", 32),
        "max_distance": settings.get("relative_attention_max_distance", 128),
        "norm_epsilon": settings.get("layer_norm_epsilon", 1e-6),
    }
    try:
        return T5Config(
            **{ours: settings[theirs] for ours, theirs in _SIZES.items()},
            **optional,
            gated=settings.get("is_gated_act", projection.startswith("gated-")),
            activation="silu" if activation == "swish" else activation,
            tied=tied,
            # transformers 5 scales no mT5, whatever its config says.
            scaled_logits=scaled is not False and not is_mt5,
        )
    except (TypeError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err


def _read_config(settings: Mapping[str, Any], path: Path, tensors: Tensors) -> T5Config:
    config = config_of(settings, path, tied=_HEAD not in tensors.shapes)
    check_sizes(path, *_sizes(config), tensors)
    return config


def _sizes(config: T5Config) -> tuple[dict[str, int], dict[str, str]]:
    """Returns sizes by the names of config.json, and where each stack's layers are."""
    sizes = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    sizes |= {
        "num_decoder_layers": config.decoder_layers,
        "num_heads * d_kv": config.heads * config.head_width,
        "relative_attention_num_buckets": config.buckets,
    }
    layers = {
        "num_layers": "encoder.block.",
        "num_decoder_layers": "decoder.block.",
    }
    return sizes, layers


def settings_of(config: T5Config, dtype: str) -> dict[str, Any]:
    """Returns what config.json says of a model; see `config_of`.

    Args:
        config: Sizes and switches.
        dtype: Dtype of the stored weights.
    """
    gate = "gated-" if config.gated else ""
    activation = config.activation
    # The one projection whose name is not its activation's; see `config_of`.
    projection = "gelu" if gate and activation == "gelu_new" else activation
    return {
        **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
        "architectures": ["T5ForConditionalGeneration"],
        "decoder_start_token_id": 0,
        "dense_act_fn": activation,
        "dropout_rate": 0.0,
        "eos_token_id": 1,
        "feed_forward_proj": gate + projection,
        "is_encoder_decoder": True,
        "is_gated_act": config.gated,
        "layer_norm_epsilon": config.norm_epsilon,
        "model_type": "t5",
        "num_decoder_layers": config.decoder_layers,
        "pad_token_id": 0,
        "relative_attention_max_distance": config.max_distance,
        "relative_attention_num_buckets": config.buckets,
        # Version 5 reads the scale here; before it, an untied model was unscaled.
        "scale_decoder_outputs": config.scaled_logits,
        "tie_word_embeddings": config.tied,
        "torch_dtype": dtype,
    }


def _sources(config: T5Config) -> dict[str, TensorSource]:
    """Returns the names that transformers gives to each leaf of the params."""
    sources = {"embedding": TensorSource((_EMBEDDING,))}
    if not config.tied:
        sources["logits"] = TensorSource((_HEAD,), transposed=True)
    ffn = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    ffn["down"] = "wo"
    for stack, count in (
        ("encoder", config.encoder_layers),
        ("decoder", config.decoder_layers),
    ):

        def per_layer(
            name: str, *, matrix: bool, stack: str = stack, count: int = count
        ) -> TensorSource:
            names = (f"{stack}.block.{n}.layer.{name}.weight" for n in range(count))
            return TensorSource(tuple(names), stacked=True, transposed=matrix)

        parts = {"attention": "SelfAttention", "cross": "EncDecAttention"}
        if stack == "encoder":
            del parts["cross"]
        for place, (ours, theirs) in enumerate(parts.items()):
            at = f"{stack}/layers/{ours}"
            sources[f"{at}_norm"] = per_layer(f"{place}.layer_norm", matrix=False)
            for leaf, letter in _ATTENTION.items():
                name = f"{place}.{theirs}.{letter}"
                sources[f"{at}/{leaf}"] = per_layer(name, matrix=True)
        place, at = len(parts), f"{stack}/layers/ffn"
        sources[f"{at}_norm"] = per_layer(f"{place}.layer_norm", matrix=False)
        for leaf, theirs in ffn.items():
            name = f"{place}.DenseReluDense.{theirs}"
            sources[f"{at}/{leaf}"] = per_layer(name, matrix=True)
        sources[f"{stack}/relative_bias"] = TensorSource(
            (f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",)
        )
        sources[f"{stack}/final_norm"] = TensorSource(
            (f"{stack}.final_layer_norm.weight",)
        )
    return sources


def _layout(config: T5Config, names: Collection[str] | None) -> TensorLayout:
    sources = _sources(config)
    copies = [copy for copy in _COPIES if names is not None and copy in names]
    if copies and names is not None and _EMBEDDING not in names:
        sources["embedding"] = TensorSource((copies.pop(0),))
    return TensorLayout(sources, tuple(copies), frozenset((_UNUSED,)))


class _Size(NamedTuple):
    """Sizes of one model; both stacks have as many layers."""

    width: int
    heads: int
    head_width: int
    ffn_width: int
    layers: int


_T5_1_0 = {
    "small": _Size(512, 8, 64, 2048, 6),
    "base": _Size(768, 12, 64, 3072, 12),
    "large": _Size(1024, 16, 64, 4096, 24),
    "3b": _Size(1024, 32, 128, 16384, 24),
    "11b": _Size(1024, 128, 128, 65536, 24),
}
_T5_1_1 = {
    "small": _Size(512, 6, 64, 1024, 8),
    "base": _Size(768, 12, 64, 2048, 12),
    "large": _Size(1024, 16, 64, 2816, 24),
    "xl": _Size(2048, 32, 64, 5120, 24),
    "xxl": _Size(4096, 64, 64, 10240, 24),
}


def _published(size: _Size, vocab_rows: int, *, first: bool) -> T5Config:
    return T5Config(
        vocab_rows=vocab_rows,
        width=size.width,
        heads=size.heads,
        head_width=size.head_width,
        ffn_width=size.ffn_width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        gated=not first,
        activation="relu" if first else "gelu_new",
        tied=first,
        scaled_logits=first,
    )


def _published_configs() -> dict[str, T5Config]:
    found = {}
    for size, sizes in _T5_1_0.items():
        found[f"google-t5/t5-{size}"] = _published(sizes, 32_128, first=True)
    for size, sizes in _T5_1_1.items():
        english = _published(sizes, 32_128, first=False)
        found[f"google/t5-v1_1-{size}"] = english
        found[f"google/t5-{size}-lm-adapt"] = english
        found[f"google/flan-t5-{size}"] = english
        found[f"google/mt5-{size}"] = _published(sizes, 250_112, first=False)
    return found


_PUBLISHED: Mapping[str, T5Config] = MappingProxyType(_published_configs())
"""Hub name -> sizes and switches, as the config.json of each says.

Source: Raffel et al. 2020, sec. 3.7 (arXiv:1910.10683) for 1.0; the released
configurations of T5 1.1 and mT5 (Xue et al. 2021, arXiv:2010.11934).
"""


FAMILY = Family(
    name="T5",
    config=T5Config,
    make=make_t5,
    published=_PUBLISHED,
    hugging_face=HuggingFace(
        model_types=("t5", "mt5"),
        auto_class="AutoModelForSeq2SeqLM",
        read_config=_read_config,
        write_config=settings_of,
        layout=_layout,
        tokenizer_class="T5Tokenizer",
    ),
    t5x=t5_in_t5x.FORMAT,
    first_leaves=(
        "embedding",
        "encoder/layers/attention_norm",
        "encoder/layers/ffn_norm",
        "encoder/final_norm",
        "decoder/layers/attention_norm",
        "decoder/layers/cross_norm",
        "decoder/layers/ffn_norm",
        "decoder/final_norm",
    ),
)
"""T5: versions 1.0 and 1.1, LM-adapted, Flan and mT5."""
