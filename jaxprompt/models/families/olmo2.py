"""OLMo 2: config.json and published sizes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig, Switches
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.checked_settings import flag
from jaxprompt.models.families.forms.decoder_in_gguf import NORMS_BEHIND, decoder_gguf
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
)
from jaxprompt.models.families.llama import ALL_BIASES


@dataclasses.dataclass(frozen=True)
class Olmo2Config(RotaryConfig):
    """The sizes and switches that tell one OLMo 2 from another; see `RotaryConfig`.

    Attributes:
        attention_bias: Whether the four matrices of attention have biases.
    """

    family: ClassVar[str] = "OLMo 2"

    attention_bias: bool = False

    @property
    def switches(self) -> Switches:
        """Those of `RotaryConfig`; norms behind the layers, and over all heads."""
        return dataclasses.replace(
            super().switches,
            norms_in=False,
            norms_out=True,
            heads_normed="all",
            attention_biases=ALL_BIASES if self.attention_bias else (),
        )


def _read_fields(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {
        **read_sizes(settings, path, epsilon=1e-5, ids=(None, 50_279, 1)),
        "attention_bias": flag(settings, "attention_bias", path, default=False),
    }


def _write_fields(config: Olmo2Config) -> dict[str, Any]:
    return {"attention_bias": config.attention_bias}


FAMILY = Family(
    name=Olmo2Config.family,
    config=Olmo2Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "allenai/OLMo-2-0425-1B": Olmo2Config(
                vocab_size=100_352,
                width=2048,
                heads=16,
                kv_heads=16,
                head_width=128,
                ffn_width=8192,
                layers=16,
                positions=4096,
                theta=500_000.0,
                eos_token_id=100_257,
                pad_token_id=100_277,
            )
        }
    ),
    hugging_face=hugging_face_form(
        Olmo2Config, "olmo2", "Olmo2ForCausalLM", _read_fields, _write_fields, layout
    ),
    gguf=(decoder_gguf("olmo2", names=NORMS_BEHIND),),
)
"""OLMo 2.

Source: OLMo Team 2025, sec. 2 (arXiv:2501.00656), and the released configuration.
"""
