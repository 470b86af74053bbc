"""GPT-2 in Hugging Face folders: its config.json and its tensors; published sizes."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import DecoderConfig, Switches
from jaxprompt.models.families.family import Family, HuggingFace, TensorLayout
from jaxprompt.models.layers.kinds import LayerKind
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Tensors, TensorSource
from jaxprompt.screen.quoting import quoted

_EMBEDDING = "wte.weight"
# The output matrix, as some files hold it: the embedding table again.
_HEAD = "lm_head.weight"

# What files of the whole model, not of its body alone, put before every other name.
_WHOLE = "transformer."
# The causal mask, which old versions saved with the weights.
_BUFFER = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")

_SIZES = {
    "vocab_size": "vocab_size",
    "width": "n_embd",
    "heads": "n_head",
    "layers": "n_layer",
    "positions": "n_positions",
}
# What every GPT-2 that was published for text has.
_REQUIRED = {
    "add_cross_attention": False,
    "reorder_and_upcast_attn": False,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "tie_word_embeddings": True,
}
_MATRICES = {
    "attention/query": "attn.c_attn",
    "attention/key": "attn.c_attn",
    "attention/value": "attn.c_attn",
    "attention/out": "attn.c_proj",
    "ffn/up": "mlp.c_fc",
    "ffn/down": "mlp.c_proj",
}


@dataclasses.dataclass(frozen=True)
class GPT2Config(DecoderConfig):
    """The sizes and switches that tell one GPT-2 from another; see `DecoderConfig`."""

    family: ClassVar[str] = "GPT-2"

    positions: int = 1024
    activation: str = "gelu_new"
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_heads()

    @property
    def switches(self) -> Switches:
        """The defaults are its own; as many heads of keys as of queries."""
        head_width = self.width // self.heads
        return Switches(
            kv_heads=self.heads,
            head_width=head_width,
            layers=(LayerKind(),),
            query_scale=head_width**-0.5,
        )


def config_of(settings: Mapping[str, Any], path: Path) -> GPT2Config:
    """Reads sizes and switches from a config.json.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.

    Raises:
        ValueError: If a setting is missing or impossible, or the model is a GPT-2 of a
            kind that is not built.
    """
    for name, required in _REQUIRED.items():
        if settings.get(name, required) is not required:
            raise ValueError(
                f"{path}: {name} {quoted(settings[name])}: only GPT-2 models with "
                f"{name} {required} can be read"
            )
    missing = [key for key in _SIZES.values() if key not in settings]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}: is this a whole config?")
    if settings["vocab_size"] == 0:  # Only a model that is trained anew may leave it.
        raise ValueError(f"{path}: vocab_size 0: is this a whole config?")
    activation = settings.get("activation_function", "gelu_new")
    # What transformers takes where a config does not say.
    end_of_text = 50256
    try:
        return GPT2Config(
            **{ours: settings[theirs] for ours, theirs in _SIZES.items()},
            ffn_width=settings.get("n_inner") or 4 * settings["n_embd"],
            activation="silu" if activation == "swish" else activation,
            norm_epsilon=settings.get("layer_norm_epsilon", 1e-5),
            bos_token_id=settings.get("bos_token_id", end_of_text),
            eos_token_id=settings.get("eos_token_id", end_of_text),
        )
    except (TypeError, ValueError) as err:
        raise ValueError(f"{path}: {err}") from err


def _read_config(
    settings: Mapping[str, Any], path: Path, tensors: Tensors
) -> GPT2Config:
    config = config_of(settings, path)
    check_sizes(path, *_sizes(config, _prefix_of(tensors.shapes)), tensors)
    return config


def _sizes(config: GPT2Config, prefix: str) -> tuple[dict[str, int], dict[str, str]]:
    """Returns sizes by the names of config.json, and where the layers are."""
    sizes = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    return {**sizes, "n_inner": config.ffn_width}, {"n_layer": f"{prefix}h."}


def settings_of(config: GPT2Config, dtype: str) -> dict[str, Any]:
    """Returns what config.json says of a model; see `config_of`.

    Args:
        config: Sizes and switches.
        dtype: Dtype of the stored weights.
    """
    return {
        **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
        **_REQUIRED,
        "activation_function": config.activation,
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.0,
        "bos_token_id": config.bos_token_id,
        "embd_pdrop": 0.0,
        "eos_token_id": config.eos_token_id,
        "layer_norm_epsilon": config.norm_epsilon,
        "model_type": "gpt2",
        "n_ctx": config.positions,
        "n_inner": config.ffn_width,
        "resid_pdrop": 0.0,
        "torch_dtype": dtype,
    }


def _prefix_of(names: Iterable[str]) -> str:
    """Returns what stands before every name of a file but the output matrix's."""
    return _WHOLE if any(name.startswith(_WHOLE) for name in names) else ""


def _sources(config: GPT2Config, prefix: str) -> dict[str, TensorSource]:
    """Returns the names that transformers gives to each leaf of the params.

    Its matrices lie as ours do, [D, F]; query, key and value are one matrix.
    """

    def per_layer(
        name: str, columns: tuple[int, int, int] | None = None
    ) -> TensorSource:
        names = (f"{prefix}h.{n}.{name}" for n in range(config.layers))
        return TensorSource(tuple(names), stacked=True, columns=columns)

    padding = config.row_padding
    sources = {
        "embedding": TensorSource((f"{prefix}{_EMBEDDING}",), padding=padding),
        "positions": TensorSource((f"{prefix}wpe.weight",)),
        "final_norm/scale": TensorSource((f"{prefix}ln_f.weight",)),
        "final_norm/bias": TensorSource((f"{prefix}ln_f.bias",)),
    }
    for ours, theirs in {"attention_norm": "ln_1", "ffn_norm": "ln_2"}.items():
        sources[f"layers/{ours}/scale"] = per_layer(f"{theirs}.weight")
        sources[f"layers/{ours}/bias"] = per_layer(f"{theirs}.bias")
    width = config.width
    joined = {
        "attention/query": (0, width, 3 * width),
        "attention/key": (width, 2 * width, 3 * width),
        "attention/value": (2 * width, 3 * width, 3 * width),
    }
    for ours, theirs in _MATRICES.items():
        columns = joined.get(ours)
        sources[f"layers/{ours}"] = per_layer(f"{theirs}.weight", columns)
        sources[f"layers/{ours}_bias"] = per_layer(f"{theirs}.bias", columns)
    return sources


def _layout(config: GPT2Config, names: Collection[str] | None) -> TensorLayout:
    if names is None:
        return TensorLayout(_sources(config, _WHOLE))
    buffers = frozenset(name for name in names if _BUFFER.fullmatch(name))
    copies = (_HEAD,) if _HEAD in names else ()
    return TensorLayout(_sources(config, _prefix_of(names)), copies, buffers)


def _openai(width: int, heads: int, layers: int) -> GPT2Config:
    return GPT2Config(
        vocab_size=50_257,
        width=width,
        heads=heads,
        ffn_width=4 * width,
        layers=layers,
        bos_token_id=50_256,
        eos_token_id=50_256,
    )


def _rinna(
    width: int, heads: int, layers: int, ffn_width: int, vocab_size: int = 32_000
) -> GPT2Config:
    # The models of 32,000 pieces begin a text with piece 1, the large one with 2.
    first = 1 if vocab_size == 32_000 else 2
    return GPT2Config(
        vocab_size=vocab_size,
        width=width,
        heads=heads,
        ffn_width=ffn_width,
        layers=layers,
        bos_token_id=first,
        eos_token_id=first + 1,
    )


_PUBLISHED: Mapping[str, GPT2Config] = MappingProxyType(
    {
        "openai-community/gpt2": _openai(768, 12, 12),
        "openai-community/gpt2-medium": _openai(1024, 16, 24),
        "openai-community/gpt2-large": _openai(1280, 20, 36),
        "openai-community/gpt2-xl": _openai(1600, 25, 48),
        "rinna/japanese-gpt2-xsmall": _rinna(512, 8, 6, 2304),
        "rinna/japanese-gpt2-small": _rinna(768, 12, 12, 3072),
        "rinna/japanese-gpt2-medium": _rinna(1024, 16, 24, 4096),
        "rinna/japanese-gpt-1b": _rinna(2048, 16, 24, 8192, vocab_size=44_928),
    }
)
"""Hub name -> sizes and switches.

Source: Radford et al. 2019, table 2, with the head width of 64 that its code has; the
released configurations of Sawada et al. 2024 (arXiv:2404.01657) for rinna's models.
"""


FAMILY = Family(
    name=GPT2Config.family,
    config=GPT2Config,
    make=make_decoder,
    published=_PUBLISHED,
    hugging_face=HuggingFace(
        model_types=("gpt2",),
        auto_class="AutoModelForCausalLM",
        read_config=_read_config,
        write_config=settings_of,
        layout=_layout,
        tokenizer_class="GPT2Tokenizer",
    ),
    first_leaves=(
        "embedding",
        "positions",
        "layers/attention_norm/scale",
        "layers/attention_norm/bias",
        "layers/ffn_norm/scale",
        "layers/ffn_norm/bias",
        "final_norm/scale",
        "final_norm/bias",
    ),
)
"""GPT-2: OpenAI's, and models of its kind, as rinna's Japanese ones."""
