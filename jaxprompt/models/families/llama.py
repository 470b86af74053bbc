"""Llama, and what is built like it, as SmolLM2: config.json and published sizes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig, Switches
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.checked_settings import flag
from jaxprompt.models.families.forms.decoder_in_gguf import decoder_gguf
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
)
from jaxprompt.models.layers.rotary import Llama3

ALL_BIASES = ("query", "key", "value", "out")


@dataclasses.dataclass(frozen=True)
class LlamaConfig(RotaryConfig):
    """The sizes and switches that tell one Llama from another; see `RotaryConfig`.

    Attributes:
        attention_bias: Whether the four matrices of attention have biases.
        ffn_bias: Whether those of the feed-forward layer have.
    """

    family: ClassVar[str] = "Llama"

    attention_bias: bool = False
    ffn_bias: bool = False

    @property
    def switches(self) -> Switches:
        """Those of `RotaryConfig`, with biases where the model has them."""
        return dataclasses.replace(
            super().switches,
            attention_biases=ALL_BIASES if self.attention_bias else (),
            ffn_biases=self.ffn_bias,
        )


def _read_fields(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {
        **read_sizes(settings, path, ids=(1, 2, None)),
        "attention_bias": flag(settings, "attention_bias", path, default=False),
        "ffn_bias": flag(settings, "mlp_bias", path, default=False),
    }


def _write_fields(config: LlamaConfig) -> dict[str, Any]:
    return {"attention_bias": config.attention_bias, "mlp_bias": config.ffn_bias}


def _smollm2(width: int, heads: int, kv_heads: int, layers: int) -> LlamaConfig:
    large = width == 2048
    return LlamaConfig(
        vocab_size=49_152,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_width=64,
        ffn_width=4 * width if large else width * 8 // 3,
        layers=layers,
        positions=8192,
        norm_epsilon=1e-5,
        theta=130_000.0 if large else 100_000.0,
        tied=True,
        bos_token_id=0,
        eos_token_id=0,
    )


def _llama3(
    width: int,
    heads: int,
    ffn_width: int,
    layers: int,
    head_width: int = 128,
    factor: float | None = None,
    tied: bool = False,
) -> LlamaConfig:
    scaling = None if factor is None else Llama3(factor, 1.0, 4.0, 8192)
    return LlamaConfig(
        vocab_size=128_256,
        width=width,
        heads=heads,
        kv_heads=8,
        head_width=head_width,
        ffn_width=ffn_width,
        layers=layers,
        positions=8192 if factor is None else 131_072,
        norm_epsilon=1e-5,
        theta=500_000.0,
        scaling=scaling,
        tied=tied,
        bos_token_id=128_000,
        eos_token_id=128_001,
    )


_PUBLISHED: Mapping[str, LlamaConfig] = MappingProxyType(
    {
        "HuggingFaceTB/SmolLM2-135M": _smollm2(576, 9, 3, 30),
        "HuggingFaceTB/SmolLM2-360M": _smollm2(960, 15, 5, 32),
        "HuggingFaceTB/SmolLM2-1.7B": _smollm2(2048, 32, 32, 24),
        "meta-llama/Llama-2-7b-hf": LlamaConfig(
            vocab_size=32_000,
            width=4096,
            heads=32,
            kv_heads=32,
            head_width=128,
            ffn_width=11_008,
            layers=32,
            positions=4096,
            norm_epsilon=1e-5,
            bos_token_id=1,
            eos_token_id=2,
        ),
        "meta-llama/Meta-Llama-3-8B": _llama3(4096, 32, 14_336, 32),
        "meta-llama/Llama-3.1-8B": _llama3(4096, 32, 14_336, 32, factor=8.0),
        "meta-llama/Llama-3.2-1B": _llama3(
            2048, 32, 8192, 16, head_width=64, factor=32.0, tied=True
        ),
        "meta-llama/Llama-3.2-3B": _llama3(3072, 24, 8192, 28, factor=32.0, tied=True),
    }
)
"""Hub name -> sizes and switches.

Source: the released configurations; Ben Allal et al. 2025 (arXiv:2502.02737) for
SmolLM2, Touvron et al. 2023 (arXiv:2307.09288) and Grattafiori et al. 2024
(arXiv:2407.21783) for Llama.
"""


FAMILY = Family(
    name=LlamaConfig.family,
    config=LlamaConfig,
    make=make_decoder,
    published=_PUBLISHED,
    hugging_face=hugging_face_form(
        LlamaConfig, "llama", "LlamaForCausalLM", _read_fields, _write_fields, layout
    ),
    gguf=(decoder_gguf("llama", in_pairs=True),),
)
"""Llama 2 and 3, SmolLM2, and models of their kind."""
