"""SmolLM3: config.json and published sizes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.checked_settings import flag, refuse_unless, size
from jaxprompt.models.families.forms.decoder_in_gguf import decoder_gguf
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
)
from jaxprompt.models.families.llama import LlamaConfig
from jaxprompt.models.layers.kinds import LayerKind
from jaxprompt.screen.quoting import quoted

_PERIOD = 4  # Every so many layers, one has no rotary positions.


@dataclasses.dataclass(frozen=True)
class SmolLM3Config(LlamaConfig):
    """The sizes and switches that tell one SmolLM3 from another; see `LlamaConfig`.

    Attributes:
        turning: Whether queries and keys of each layer turn; empty for all.
    """

    family: ClassVar[str] = "SmolLM3"

    theta: float = 2_000_000.0
    tied: bool = True
    turning: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.turning) not in (0, self.layers):
            raise ValueError(
                f"{self.family} turning has {len(self.turning)} entries for "
                f"{self.layers} layers: give one for each, or none"
            )

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, or a single one for all."""
        if not self.turning:
            return super().layer_kinds
        return tuple(LayerKind(self.rotary if one else None) for one in self.turning)


def _read_fields(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    refuse_unless(settings, {"use_sliding_window": False}, path, SmolLM3Config.family)
    ids = (128_000, 128_001, 128_004)
    sizes = read_sizes(settings, path, theta=2_000_000.0, tied=True, ids=ids)
    turning = settings.get("no_rope_layers")
    if turning is None:
        layers = range(settings["num_hidden_layers"])
        period = size(settings, "no_rope_layer_interval", path, _PERIOD)
        turning = [int((layer + 1) % period > 0) for layer in layers]
    # In spite of its name, the list holds 1 for a layer that turns.
    if not isinstance(turning, list) or any(one not in (0, 1) for one in turning):
        raise ValueError(
            f"{path}: no_rope_layers {quoted(turning)}: use a list of 0, 1"
        )
    return {
        **sizes,
        "turning": tuple(one == 1 for one in turning),
        "attention_bias": flag(settings, "attention_bias", path, default=False),
        "ffn_bias": flag(settings, "mlp_bias", path, default=False),
    }


def _write_fields(config: SmolLM3Config) -> dict[str, Any]:
    turning = config.turning or (True,) * config.layers
    return {
        "attention_bias": config.attention_bias,
        "mlp_bias": config.ffn_bias,
        "no_rope_layers": [int(one) for one in turning],
        "use_sliding_window": False,
    }


FAMILY = Family(
    name=SmolLM3Config.family,
    config=SmolLM3Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "HuggingFaceTB/SmolLM3-3B": SmolLM3Config(
                vocab_size=128_256,
                width=2048,
                heads=16,
                kv_heads=4,
                head_width=128,
                ffn_width=11_008,
                layers=36,
                positions=65_536,
                theta=5_000_000.0,
                turning=tuple((layer + 1) % _PERIOD > 0 for layer in range(36)),
                bos_token_id=128_000,
                eos_token_id=128_012,
                pad_token_id=128_004,
            )
        }
    ),
    hugging_face=hugging_face_form(
        SmolLM3Config,
        "smollm3",
        "SmolLM3ForCausalLM",
        _read_fields,
        _write_fields,
        layout,
    ),
    gguf=(decoder_gguf("smollm3", in_pairs=True),),
)
"""SmolLM3.

Source: the released configuration; layers without rotary positions as in Yang et al.
2025 (arXiv:2501.18795).
"""
