"""Qwen 2, 2.5 and 3: config.json and published sizes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig, Switches
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.checked_settings import flag, size
from jaxprompt.models.families.forms.decoder_in_gguf import decoder_gguf
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
    read_sliding,
    write_sliding,
)
from jaxprompt.models.families.llama import ALL_BIASES

_END_OF_TEXT = 151_643


@dataclasses.dataclass(frozen=True)
class Qwen2Config(RotaryConfig):
    """The sizes and switches that tell one Qwen 2 from another; see `RotaryConfig`."""

    family: ClassVar[str] = "Qwen 2"

    @property
    def switches(self) -> Switches:
        """Those of `RotaryConfig`; queries, keys and values have biases."""
        biases = ("query", "key", "value")
        return dataclasses.replace(super().switches, attention_biases=biases)


@dataclasses.dataclass(frozen=True)
class Qwen3Config(RotaryConfig):
    """The sizes and switches that tell one Qwen 3 from another; see `RotaryConfig`.

    Attributes:
        attention_bias: Whether the four matrices of attention have biases.
    """

    family: ClassVar[str] = "Qwen 3"

    attention_bias: bool = False

    @property
    def switches(self) -> Switches:
        """Those of `RotaryConfig`; each head of queries and keys is normalised."""
        return dataclasses.replace(
            super().switches,
            attention_biases=ALL_BIASES if self.attention_bias else (),
            heads_normed="head",
        )


def _read_sliding(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    window = None
    if flag(settings, "use_sliding_window", path, default=False):
        window = settings.get("sliding_window", 4096)
    first = size(settings, "max_window_layers", path, 28, least=0)
    return read_sliding(settings, path, window, lambda n: n >= first)


def _write_sliding(config: RotaryConfig) -> dict[str, Any]:
    sliding = [n for n in range(config.layers) if config.slides(n)]
    return {
        **write_sliding(config),
        "max_window_layers": min(sliding, default=config.layers),
        "use_sliding_window": config.window is not None,
    }


def _read_qwen2(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {**read_sizes(settings, path), **_read_sliding(settings, path)}


def _read_qwen3(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {
        **read_sizes(settings, path, head_width=128),
        **_read_sliding(settings, path),
        "attention_bias": flag(settings, "attention_bias", path, default=False),
    }


def _write_qwen3(config: Qwen3Config) -> dict[str, Any]:
    return {**_write_sliding(config), "attention_bias": config.attention_bias}


def _qwen2(
    width: int, heads: int, kv_heads: int, ffn_width: int, layers: int, *, tied: bool
) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=151_936 if tied else 152_064,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_width=width // heads,
        ffn_width=ffn_width,
        layers=layers,
        positions=32_768 if tied else 131_072,
        theta=1e6,
        tied=tied,
        bos_token_id=_END_OF_TEXT,
        eos_token_id=_END_OF_TEXT,
    )


def _qwen3(
    width: int, heads: int, ffn_width: int, layers: int, *, tied: bool
) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=151_936,
        width=width,
        heads=heads,
        kv_heads=8,
        head_width=128,
        ffn_width=ffn_width,
        layers=layers,
        positions=40_960,
        theta=1e6,
        tied=tied,
        bos_token_id=_END_OF_TEXT,
        eos_token_id=151_645,
    )


QWEN2 = Family(
    name=Qwen2Config.family,
    config=Qwen2Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "Qwen/Qwen2.5-0.5B": _qwen2(896, 14, 2, 4864, 24, tied=True),
            "Qwen/Qwen2.5-1.5B": _qwen2(1536, 12, 2, 8960, 28, tied=True),
            "Qwen/Qwen2.5-7B": _qwen2(3584, 28, 4, 18_944, 28, tied=False),
        }
    ),
    hugging_face=hugging_face_form(
        Qwen2Config, "qwen2", "Qwen2ForCausalLM", _read_qwen2, _write_sliding, layout
    ),
    gguf=(decoder_gguf("qwen2"),),
)
"""Qwen 2 and 2.5, dense and of text.

Source: Qwen Team 2024, table 1 (arXiv:2412.15115), and the released configurations.
"""

QWEN3 = Family(
    name=Qwen3Config.family,
    config=Qwen3Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "Qwen/Qwen3-0.6B": _qwen3(1024, 16, 3072, 28, tied=True),
            "Qwen/Qwen3-1.7B": _qwen3(2048, 16, 6144, 28, tied=True),
            "Qwen/Qwen3-4B": _qwen3(2560, 32, 9728, 36, tied=True),
            "Qwen/Qwen3-8B": _qwen3(4096, 32, 12_288, 36, tied=False),
        }
    ),
    hugging_face=hugging_face_form(
        Qwen3Config, "qwen3", "Qwen3ForCausalLM", _read_qwen3, _write_qwen3, layout
    ),
    gguf=(decoder_gguf("qwen3"),),
)
"""Qwen 3, dense and of text.

Source: Qwen Team 2025, table 1 (arXiv:2505.09388), and the released configurations.
"""
