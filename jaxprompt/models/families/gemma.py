"""Gemma 2, and the text models of Gemma 3: config.json and published sizes."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from jaxprompt.models.config import Config
from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig, Switches
from jaxprompt.models.families.family import Family, HuggingFace, TensorLayout
from jaxprompt.models.families.forms.checked_settings import (
    flag,
    number,
    optional_number,
    refuse_unless,
    size,
)
from jaxprompt.models.families.forms.decoder_in_gguf import NORMS_AROUND, decoder_gguf
from jaxprompt.models.families.forms.gguf_facts import Facts
from jaxprompt.models.families.forms.rope_settings import read_rope
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    FULL,
    SLIDING,
    activation_name,
    hugging_face_form,
    layout,
    read_sizes,
    read_sliding,
    write_sliding,
)
from jaxprompt.models.families.llama import ALL_BIASES
from jaxprompt.models.layers.kinds import LayerKind
from jaxprompt.models.layers.rotary import Linear, Rotary
from jaxprompt.models.weights.source import Tensors
from jaxprompt.screen.quoting import quoted

_LOCAL_THETA = 10_000.0
_WITH_IMAGES = "gemma3"  # The `model_type` of models that also read images.


@dataclasses.dataclass(frozen=True)
class Gemma2Config(RotaryConfig):
    """The sizes and switches that tell one Gemma 2 from another; see `RotaryConfig`.

    Attributes:
        query_scalar: Scores are divided by its square root.
        attention_bias: Whether the four matrices of attention have biases.
        score_cap: What the scores of attention stay below; None for nothing.
        logit_cap: What the scores of ids stay below; None for nothing.
    """

    family: ClassVar[str] = "Gemma 2"

    activation: str = "gelu_new"
    tied: bool = True
    query_scalar: float = 256.0
    attention_bias: bool = False
    score_cap: float | None = 50.0
    logit_cap: float | None = 30.0

    @property
    def switches(self) -> Switches:
        """Those of `RotaryConfig`; norms on both sides, caps and scaled embeddings."""
        return dataclasses.replace(
            super().switches,
            query_scale=self.query_scalar**-0.5,
            norm="rms_plus_one",
            norms_out=True,
            attention_biases=ALL_BIASES if self.attention_bias else (),
            scaled_embedding=True,
            score_cap=self.score_cap,
            logit_cap=self.logit_cap,
        )


@dataclasses.dataclass(frozen=True)
class Gemma3Config(Gemma2Config):
    """The sizes and switches that tell one Gemma 3 from another; see `Gemma2Config`.

    Attributes:
        local_theta: Base of rotary positions in layers that slide, which no scaling
            reaches.
    """

    family: ClassVar[str] = "Gemma 3"

    theta: float = 1_000_000.0
    score_cap: float | None = None
    logit_cap: float | None = None
    local_theta: float = _LOCAL_THETA

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, or a single one for all."""
        local = Rotary(self.local_theta, self.head_width)
        return tuple(
            kind if kind.window is None else kind._replace(rotary=local)
            for kind in super().layer_kinds
        )

    @property
    def switches(self) -> Switches:
        """Those of Gemma 2; each head of queries and keys is normalised."""
        return dataclasses.replace(super().switches, heads_normed="head")


def _read_common(
    settings: Mapping[str, Any], path: Path, family: str, theta: float, **options: Any
) -> dict[str, Any]:
    if settings.get("use_bidirectional_attention"):
        raise ValueError(
            f"{path}: use_bidirectional_attention: only {family} models that read from "
            "left to right can be read"
        )
    return {
        **read_sizes(
            settings,
            path,
            theta=theta,
            tied=True,
            head_width=256,
            activation=("hidden_activation", "gelu_new"),
            ids=(2, 1, 0),
            **options,
        ),
        "query_scalar": number(settings, "query_pre_attn_scalar", path, 256.0),
        "attention_bias": flag(settings, "attention_bias", path, default=False),
    }


def _read_gemma2(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    window = settings.get("sliding_window", 4096)
    caps = {"score_cap": ("attn", 50.0), "logit_cap": ("final", 30.0)}
    return {
        **_read_common(settings, path, Gemma2Config.family, 10_000.0),
        **read_sliding(settings, path, window, lambda n: n % 2 == 0),
        **{
            ours: optional_number(settings, f"{theirs}_logit_softcapping", path, cap)
            for ours, (theirs, cap) in caps.items()
        },
    }


def _read_gemma3(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    # transformers reads this cap, and never applies it.
    refuse_unless(settings, {"attn_logit_softcapping": None}, path, Gemma3Config.family)
    period = size(settings, "sliding_window_pattern", path, 6)
    window = settings.get("sliding_window", 4096)
    local_theta = number(settings, "rope_local_base_freq", path, _LOCAL_THETA)
    rope = settings.get("rope_parameters")
    if isinstance(rope, Mapping) and SLIDING in rope:
        local = {"rope_parameters": rope}
        local_theta, scaling = read_rope(local, path, local_theta, SLIDING)
        if scaling is not None:
            raise ValueError(
                f"{path}: rope_parameters scale the positions of {SLIDING}: only those "
                f"of {FULL} can be scaled"
            )
    return {
        **_read_common(
            settings, path, Gemma3Config.family, 1_000_000.0, layer_type=FULL
        ),
        **read_sliding(settings, path, window, lambda n: (n + 1) % period > 0),
        "logit_cap": optional_number(settings, "final_logit_softcapping", path),
        "local_theta": local_theta,
    }


# What the released config.json of images and text leaves to transformers' defaults.
_TEXT_DEFAULTS = {
    "vocab_size": 262_208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 131_072,
}
_IMAGES = ("vision_tower.", "multi_modal_projector.")


def _of_text(form: HuggingFace) -> HuggingFace:
    """Reads folders of models of images and text too: their text model alone.

    Args:
        form: Of folders that hold nothing else.

    Source: configuration_gemma3.py of transformers, and the released config.json.
    """

    def read_config(
        settings: Mapping[str, Any], path: Path, tensors: Tensors
    ) -> Config:
        if settings["model_type"] == _WITH_IMAGES:
            text = settings.get("text_config")
            if not isinstance(text, Mapping):
                raise ValueError(
                    f"{path}: text_config {quoted(text)}: use the settings of the text "
                    "model; is this a whole config?"
                )
            kind = text.get("model_type")
            if kind not in (None, *form.model_types):
                raise ValueError(
                    f"{path}: text_config of model_type {quoted(kind)}: only "
                    f"{form.model_types[0]} can be read"
                )
            ids = {key: settings[key] for key in _IDS if settings.get(key) is not None}
            settings = {**_TEXT_DEFAULTS, **text, **ids}
        return form.read_config(settings, path, tensors)

    def layout_of_text(
        config: Gemma3Config, names: Collection[str] | None
    ) -> TensorLayout:
        found = form.layout(config, names)
        images = {
            name
            for name in names or ()
            if name.removeprefix("model.").startswith(_IMAGES)
        }
        return found._replace(unused=found.unused | images)

    return form._replace(
        model_types=(*form.model_types, _WITH_IMAGES),
        read_config=read_config,
        layout=layout_of_text,
    )


def _write_common(config: Gemma2Config) -> dict[str, Any]:
    scalar = config.query_scalar
    return {
        **write_sliding(config),
        "attention_bias": config.attention_bias,
        "attn_logit_softcapping": config.score_cap,
        "final_logit_softcapping": config.logit_cap,
        "hidden_activation": activation_name(config.activation),
        # transformers wants a number, even where no layer slides.
        "sliding_window": config.window or config.positions,
        "query_pre_attn_scalar": int(scalar) if scalar == int(scalar) else scalar,
    }


def _write_gemma3(config: Gemma3Config) -> dict[str, Any]:
    return {**_write_common(config), "rope_local_base_freq": config.local_theta}


def _common_in_gguf(
    facts: Facts, settings: Mapping[str, Any], largest: int
) -> dict[str, Any]:
    """Returns what both have; `largest` is the number of layers of the 27B model.

    Files do not say what scores are divided by: its heads are narrower than the width
    says, and it is divided by the latter.

    Source: src/models/gemma2.cpp and gemma3.cpp of llama.cpp.
    """
    wide = settings["hidden_size"] // settings["num_attention_heads"]
    is_largest = settings["num_hidden_layers"] == largest
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": wide if is_largest else settings["head_dim"],
        "sliding_window": facts.size("attention.sliding_window", 4096),
    }


def _gemma2_in_gguf(facts: Facts, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_common_in_gguf(facts, settings, largest=46),
        "attn_logit_softcapping": facts.real("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": facts.real("final_logit_softcapping", 30.0),
    }


def _gemma3_in_gguf(facts: Facts, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_common_in_gguf(facts, settings, largest=62),
        "final_logit_softcapping": facts.real("final_logit_softcapping", None),
        "rope_local_base_freq": facts.real("rope.freq_base_swa", _LOCAL_THETA),
        "rope_theta": facts.real("rope.freq_base", 1_000_000.0),
        "sliding_window_pattern": facts.size("attention.sliding_window_pattern", 6),
    }


class _Sizes(NamedTuple):
    """What the published models of one Gemma differ in; see `RotaryConfig`."""

    width: int
    heads: int
    kv_heads: int
    ffn_width: int
    layers: int
    head_width: int = 256
    query_scalar: float = 256.0


_IDS: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}


def _gemma2(sizes: _Sizes) -> Gemma2Config:
    return Gemma2Config(
        **sizes._asdict(),
        vocab_size=256_000,
        positions=8192,
        window=4096,
        sliding=tuple(n % 2 == 0 for n in range(sizes.layers)),
        **_IDS,
    )


def _gemma3(sizes: _Sizes) -> Gemma3Config:
    small = sizes.layers <= 26
    return Gemma3Config(
        **sizes._asdict(),
        vocab_size=262_144 if small else 262_208,
        positions=32_768 if small else 131_072,
        scaling=None if small else Linear(8.0),
        window=512 if small else 1024,
        sliding=tuple((n + 1) % 6 > 0 for n in range(sizes.layers)),
        **_IDS,
    )


GEMMA2 = Family(
    name=Gemma2Config.family,
    config=Gemma2Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "google/gemma-2-2b": _gemma2(_Sizes(2304, 8, 4, 9216, 26)),
            "google/gemma-2-9b": _gemma2(_Sizes(3584, 16, 8, 14_336, 42)),
            "google/gemma-2-27b": _gemma2(_Sizes(4608, 32, 16, 36_864, 46, 128, 144.0)),
        }
    ),
    hugging_face=hugging_face_form(
        Gemma2Config,
        "gemma2",
        "Gemma2ForCausalLM",
        _read_gemma2,
        _write_common,
        layout,
    ),
    # vLLM multiplies the rows that it is given, too.
    scaled_forms=frozenset({"peft"}),
    gguf=(
        decoder_gguf(
            "gemma2", names=NORMS_AROUND, more=_gemma2_in_gguf, norms_above_one=True
        ),
    ),
)
"""Gemma 2.

Source: Gemma Team 2024, tables 1 and 2 (arXiv:2408.00118), and the released
configurations.
"""

GEMMA3 = Family(
    name=Gemma3Config.family,
    config=Gemma3Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "google/gemma-3-270m": _gemma3(_Sizes(640, 4, 1, 2048, 18)),
            "google/gemma-3-1b-pt": _gemma3(_Sizes(1152, 4, 1, 6912, 26)),
            "google/gemma-3-4b-pt": _gemma3(_Sizes(2560, 8, 4, 10_240, 34)),
            "google/gemma-3-12b-pt": _gemma3(_Sizes(3840, 16, 8, 15_360, 48)),
            "google/gemma-3-27b-pt": _gemma3(
                _Sizes(5376, 32, 16, 21_504, 62, 128, 168.0)
            ),
        }
    ),
    hugging_face=_of_text(
        hugging_face_form(
            Gemma3Config,
            "gemma3_text",
            "Gemma3ForCausalLM",
            _read_gemma3,
            _write_gemma3,
            layout,
        )
    ),
    scaled_forms=frozenset({"peft", "vllm", "llama_cpp"}),
    gguf=(
        decoder_gguf(
            "gemma3",
            model_type="gemma3_text",
            names=NORMS_AROUND,
            more=_gemma3_in_gguf,
            norms_above_one=True,
        ),
    ),
)
"""Gemma 3, as far as it is of text: of the models of 4B and more, which also read
images, the text model alone.

Source: Gemma Team 2025, tables 1 and 2 (arXiv:2503.19786), and the released
configurations.
"""
