"""T5's config.json of Hugging Face, read raw and written for every version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.models.t5_config import T5Config
from jaxprompt.quoting import quoted

_SIZES = {
    "vocab_rows": "vocab_size",
    "width": "d_model",
    "heads": "num_heads",
    "head_width": "d_kv",
    "ffn_width": "d_ff",
    "encoder_layers": "num_layers",
}


def read_config(settings: Mapping[str, Any], path: Path, *, tied: bool) -> T5Config:
    """Reads sizes and switches from a config.json.

    Read raw, because the configs of transformers 5 rewrite them: whether the output
    matrix is tied is a fact about the weights, and only its scale is in the config.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.
        tied: Whether the weights lack an output matrix of their own.

    Raises:
        ValueError: If a setting is missing or impossible, or the model is no T5.
    """
    model_type = settings.get("model_type")
    if model_type not in ("t5", "mt5"):
        raise ValueError(
            f"{path}: model_type {quoted(model_type)} is neither t5 nor mt5 nor gpt2"
        )
    missing = [key for key in _SIZES.values() if key not in settings]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}: is this a whole config?")
    if settings["vocab_size"] == 0:  # Only a model that is trained anew may leave it.
        raise ValueError(f"{path}: vocab_size 0: is this a whole config?")
    projection = settings.get(
        "feed_forward_proj", "relu" if model_type == "t5" else "gated-gelu"
    )
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
            scaled_logits=scaled is not False and model_type == "t5",
        )
    except (TypeError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err


def sizes_of(config: T5Config) -> tuple[dict[str, int], dict[str, str]]:
    """Returns what `weights.sizes.check_sizes` compares with the tensors.

    Args:
        config: From `read_config`.

    Returns:
        Sizes by the names of config.json, and where each stack's layers are.
    """
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
    """Returns what config.json says of a model; see `read_config`.

    Args:
        config: Sizes and switches.
        dtype: Dtype of the stored weights.
    """
    gate = "gated-" if config.gated else ""
    activation = config.activation
    # The one projection whose name is not its activation's; see `read_config`.
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
