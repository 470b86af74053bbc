"""Mistral: config.json and published sizes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
)


@dataclasses.dataclass(frozen=True)
class MistralConfig(RotaryConfig):
    """The sizes and switches that tell one Mistral from another; see `RotaryConfig`.

    Where there is a window, every layer slides.
    """

    family: ClassVar[str] = "Mistral"


def _read_fields(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    sizes = read_sizes(settings, path, ids=(1, 2, None))
    return {**sizes, "window": settings.get("sliding_window", 4096)}


def _write_fields(config: MistralConfig) -> dict[str, Any]:
    return {"sliding_window": config.window}


def _mistral_7b(vocab_size: int, theta: float, window: int | None) -> MistralConfig:
    return MistralConfig(
        vocab_size=vocab_size,
        width=4096,
        heads=32,
        kv_heads=8,
        head_width=128,
        ffn_width=14_336,
        layers=32,
        positions=32_768,
        norm_epsilon=1e-5,
        theta=theta,
        window=window,
        bos_token_id=1,
        eos_token_id=2,
    )


FAMILY = Family(
    name=MistralConfig.family,
    config=MistralConfig,
    make=make_decoder,
    published=MappingProxyType(
        {
            "mistralai/Mistral-7B-v0.1": _mistral_7b(32_000, 1e4, 4096),
            "mistralai/Mistral-7B-v0.3": _mistral_7b(32_768, 1e6, None),
        }
    ),
    hugging_face=hugging_face_form(
        MistralConfig,
        "mistral",
        "MistralForCausalLM",
        _read_fields,
        _write_fields,
        layout,
    ),
)
"""Mistral 7B, and dense models of its kind.

Source: Jiang et al. 2023, table 1 (arXiv:2310.06825), and the released configurations.
"""
