"""ModernBERT in Hugging Face folders; published sizes."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.config import check_activation
from jaxprompt.models.encoder import make_encoder
from jaxprompt.models.encoder.config import EncoderConfig, EncoderSwitches
from jaxprompt.models.families.family import Family, HuggingFace, TensorLayout
from jaxprompt.models.families.forms.checked_settings import (
    SIZES,
    number,
    refuse_unless,
    size,
)
from jaxprompt.models.families.forms.rope_settings import read_rope
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    FULL,
    SLIDING,
    activation_name,
    read_activation,
    read_sliding,
)
from jaxprompt.models.layers.kinds import LayerKind
from jaxprompt.models.layers.rotary import Rotary
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Tensors, TensorSource
from jaxprompt.screen.quoting import quoted

_BODY, _TABLE = "model.", "embeddings.tok_embeddings.weight"
_WORD_BIAS = "decoder.bias"
# What transformers takes where a config.json does not say; published ones all do.
_DEFAULTS = {"max_position_embeddings": 8192}
_THETAS = {FULL: ("global_rope_theta", 160_000.0), SLIDING: ("local_rope_theta", 1e4)}
_REQUIRED = {
    "attention_bias": False,
    "classifier_bias": False,
    "decoder_bias": True,
    "mlp_bias": False,
    "norm_bias": False,
    "tie_word_embeddings": True,
}


@dataclasses.dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
    """The sizes and switches that tell one ModernBERT from another.

    Attributes:
        window: Tokens that a token of a sliding layer sees on each side, itself among
            them.
        sliding: Whether each layer slides.
        theta: Base of rotary positions in layers that see all of a text.
        local_theta: The same in layers that slide.
        head_activation: Activation of the masked-LM head.

    Raises:
        ValueError: As `EncoderConfig`; or if there is a single layer, an odd width of
            heads, `sliding` is not as long as there are layers, or the activation of
            the head is unknown.
    """

    family: ClassVar[str] = "ModernBERT"

    positions: int = 8192
    types: int = 1
    norm_epsilon: float = 1e-5
    pooler: bool = False
    pad_token_id: int | None = 50_283
    window: int = 65
    sliding: tuple[bool, ...] = ()
    theta: float = 160_000.0
    local_theta: float = 10_000.0
    head_activation: str = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation(self.family, "head_activation", self.head_activation)
        if self.layers < 2:
            raise ValueError(
                f"{self.family} layers {self.layers}: use 2 or more, of which all but "
                "the first normalise what they attend to"
            )
        if (self.width // self.heads) % 2:
            raise ValueError(
                f"{self.family} heads are {self.width // self.heads} wide, but rotary "
                "positions turn pairs of features: use an even width"
            )
        if len(self.sliding) != self.layers:
            raise ValueError(
                f"{self.family} sliding has {len(self.sliding)} entries for "
                f"{self.layers} layers: give one for each"
            )

    @property
    def switches(self) -> EncoderSwitches:
        """How it computes.

        Source: Warner et al. 2024, sec. 2.1 (arXiv:2412.13663).
        """
        head_width = self.width // self.heads
        full = LayerKind(Rotary(self.theta, head_width))
        near = LayerKind(Rotary(self.local_theta, head_width), self.window)
        return EncoderSwitches(
            layers=tuple(near if slides else full for slides in self.sliding),
            norm="layer_unbiased",
            norms_first=True,
            first_reads_bare=True,
            biases=False,
            gated=True,
            tables=False,
        )

    @property
    def fill_activation(self) -> str:
        """Activation of the masked-LM head."""
        return self.head_activation


def _read_config(
    settings: Mapping[str, Any], path: Path, tensors: Tensors
) -> ModernBertConfig:
    refuse_unless(settings, _REQUIRED, path, ModernBertConfig.family)
    at = {"num_hidden_layers": f"{_body_of(tensors.shapes)}layers."}
    sizes: dict[str, Any] = {
        theirs: size(settings, theirs, path, _DEFAULTS.get(theirs))
        for theirs in SIZES.values()
    }
    held = {key: value for key, value in sizes.items() if key not in _DEFAULTS}
    check_sizes(path, held, at, tensors)  # No tensor is as long as a text.
    # Of both sides together, without the token itself.
    around = size(settings, "local_attention", path, 128, least=0)
    period = size(settings, "global_attn_every_n_layers", path, 3)
    sliding = read_sliding(settings, path, around // 2 + 1, lambda n: n % period > 0)
    pad = settings.get("pad_token_id", 50_283)
    fields = {
        **{ours: sizes[theirs] for ours, theirs in SIZES.items()},
        "activation": read_activation(settings, "hidden_activation", "gelu"),
        "norm_epsilon": number(settings, "norm_eps", path, 1e-5),
        # A classifier of texts has a `head` too, and no words behind it.
        "fills": _WORD_BIAS in tensors.shapes,
        "window": around // 2 + 1,
        "sliding": sliding.get("sliding", (False,) * sizes["num_hidden_layers"]),
        "theta": _read_theta(settings, path, FULL),
        "local_theta": _read_theta(settings, path, SLIDING),
        "head_activation": read_activation(settings, "classifier_activation", "gelu"),
    }
    if pad is not None:
        pad = size(settings, "pad_token_id", path, pad, least=0)
    try:
        return ModernBertConfig(**fields, pad_token_id=pad)
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err


def _read_theta(settings: Mapping[str, Any], path: Path, kind: str) -> float:
    """Reads the base of one kind of layers.

    Source: transformers 5.23, `ModernBertConfig.convert_rope_params_to_dict`: there is
    a base for each kind, and no `rope_theta` of both; and for a null, transformers
    4.48, `ModernBertAttention`: layers that slide then have the base of the others.
    """
    older, default = _THETAS[kind]
    if older in settings and settings[older] is None:
        older, default = _THETAS[FULL]
    rope = settings.get("rope_parameters") or {}
    if not isinstance(rope, Mapping) or (rope and not _THETAS.keys() & rope.keys()):
        raise ValueError(
            f"{path}: rope_parameters {quoted(rope)}: use an object with {FULL!r} and "
            f"{SLIDING!r}, as each has a base of its own"
        )
    said = {f"rope_parameters.{kind}": rope.get(kind)}
    # What is said of both kinds goes before what is said of one.
    said["rope_scaling"] = settings.get("rope_scaling")
    own: dict[str, Any] = {}
    for name, of_kind in said.items():
        if not isinstance(of_kind, Mapping | None):
            raise ValueError(f"{path}: {name} {quoted(of_kind)} is no JSON object")
        own |= of_kind or {}
    left_out = ("rope_theta", "rope_scaling")
    others = {key: value for key, value in settings.items() if key not in left_out}
    theta, scaling = read_rope(
        {**others, "rope_parameters": own},
        path,
        number(settings, older, path, default),
    )
    if scaling is not None:
        raise ValueError(
            f"{path}: rotary positions of {kind} are scaled: only ModernBERT models "
            "whose are not can be read"
        )
    return theta


def _write_config(config: ModernBertConfig, dtype: str) -> dict[str, Any]:
    kinds = [SLIDING if slides else FULL for slides in config.sliding]
    thetas = {FULL: config.theta, SLIDING: config.local_theta}
    return {
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        **_REQUIRED,
        "architectures": ["ModernBertForMaskedLM"],
        "classifier_activation": activation_name(config.head_activation),
        "hidden_activation": activation_name(config.activation),
        "layer_types": kinds,
        "local_attention": 2 * (config.window - 1),
        "model_type": "modernbert",
        "norm_eps": config.norm_epsilon,
        "pad_token_id": config.pad_token_id,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": theta}
            for kind, theta in thetas.items()
        },
        "torch_dtype": dtype,
    }


def _body_of(found: Collection[str]) -> str:
    """Returns what stands before every name of the body: nothing in its own files."""
    return _BODY if f"{_BODY}{_TABLE}" in found else ""


def _layout(config: ModernBertConfig, found: Collection[str] | None) -> TensorLayout:
    body = _BODY if found is None else _body_of(found)
    width, hidden, padding = config.width, config.ffn_width, config.row_padding

    def per_layer(
        name: str, *, first: int = 0, columns: tuple[int, int, int] | None = None
    ) -> TensorSource:
        stored = (
            f"{body}layers.{n}.{name}.weight" for n in range(first, config.layers)
        )
        matrix = not name.endswith("norm")
        return TensorSource(tuple(stored), True, transposed=matrix, columns=columns)

    thirds = [(n * width, (n + 1) * width, 3 * width) for n in range(3)]
    sources = {
        "embedding": TensorSource((f"{body}{_TABLE}",), padding=padding),
        "embedding_norm/scale": TensorSource((f"{body}embeddings.norm.weight",)),
        "final_norm/scale": TensorSource((f"{body}final_norm.weight",)),
        "attention_norms/scale": per_layer("attn_norm", first=1),
        "layers/ffn_norm/scale": per_layer("mlp_norm"),
        **{
            f"layers/attention/{name}": per_layer("attn.Wqkv", columns=third)
            for name, third in zip(("query", "key", "value"), thirds, strict=True)
        },
        "layers/attention/out": per_layer("attn.Wo"),
        # What is activated comes first.
        "layers/ffn/gate": per_layer("mlp.Wi", columns=(0, hidden, 2 * hidden)),
        "layers/ffn/up": per_layer("mlp.Wi", columns=(hidden, 2 * hidden, 2 * hidden)),
        "layers/ffn/down": per_layer("mlp.Wo"),
    }
    if config.fills:
        sources["fill/weight"] = TensorSource(("head.dense.weight",), transposed=True)
        sources["fill/norm/scale"] = TensorSource(("head.norm.weight",))
        sources["fill/word_bias"] = TensorSource((_WORD_BIAS,), padding=padding)
    copy = "decoder.weight"
    return TensorLayout(sources, copies=(copy,) if copy in (found or ()) else ())


def _published(width: int, heads: int, ffn_width: int, layers: int) -> ModernBertConfig:
    return ModernBertConfig(
        vocab_size=50_368,
        width=width,
        heads=heads,
        ffn_width=ffn_width,
        layers=layers,
        fills=True,
        sliding=tuple(n % 3 > 0 for n in range(layers)),
    )


FAMILY = Family(
    name=ModernBertConfig.family,
    config=ModernBertConfig,
    make=make_encoder,
    published=MappingProxyType(
        {
            "answerdotai/ModernBERT-base": _published(768, 12, 1152, 22),
            "answerdotai/ModernBERT-large": _published(1024, 16, 2624, 28),
        }
    ),
    hugging_face=HuggingFace(
        model_types=("modernbert",),
        auto_class="AutoModelForMaskedLM",
        read_config=_read_config,
        write_config=_write_config,
        layout=_layout,
    ),
    takes_prefix=False,
)
"""ModernBERT.

Source: Warner et al. 2024, table 4 (arXiv:2412.13663), and the released configurations.
"""
