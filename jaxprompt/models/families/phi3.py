"""Phi-3: config.json, joined matrices, and published sizes."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from jaxprompt.models.decoder import make_decoder
from jaxprompt.models.decoder.config import RotaryConfig
from jaxprompt.models.families.family import Family, TensorLayout
from jaxprompt.models.families.forms.decoder_in_gguf import JOINED, decoder_gguf
from jaxprompt.models.families.forms.gguf_facts import Facts
from jaxprompt.models.families.forms.rotary_in_hugging_face import (
    hugging_face_form,
    layout,
    read_sizes,
)
from jaxprompt.models.layers.rotary import Yarn


@dataclasses.dataclass(frozen=True)
class Phi3Config(RotaryConfig):
    """The sizes and switches that tell one Phi-3 from another; see `RotaryConfig`.

    Where there is a window, every layer slides.
    """

    family: ClassVar[str] = "Phi-3"


def _read_fields(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    sizes = read_sizes(settings, path, epsilon=1e-5, ids=(1, 32_000, 32_000))
    if isinstance(sizes["scaling"], Yarn):
        raise ValueError(
            f"{path}: rotary positions of kind 'yarn', which in a Phi-3 means "
            "'longrope', cannot be read: use a model of 4k positions"
        )
    return {**sizes, "window": settings.get("sliding_window")}


def _read_gguf(facts: Facts, settings: Mapping[str, Any]) -> dict[str, Any]:
    del settings
    # 0 stands for none.
    return {"sliding_window": facts.size("attention.sliding_window", 0) or None}


def _write_fields(config: Phi3Config) -> dict[str, Any]:
    return {"sliding_window": config.window}


def _layout(config: Phi3Config, names: Collection[str] | None) -> TensorLayout:
    """Those of Llama, with queries, keys and values in one matrix, gate and up too."""
    inner, others = (n * config.head_width for n in (config.heads, config.kv_heads))
    whole, hidden = inner + 2 * others, config.ffn_width
    found = layout(config, names)
    joined = {
        "attention/query": ("q_proj", "qkv_proj", (0, inner, whole)),
        "attention/key": ("k_proj", "qkv_proj", (inner, inner + others, whole)),
        "attention/value": ("v_proj", "qkv_proj", (inner + others, whole, whole)),
        "ffn/gate": ("gate_proj", "gate_up_proj", (0, hidden, 2 * hidden)),
        "ffn/up": ("up_proj", "gate_up_proj", (hidden, 2 * hidden, 2 * hidden)),
    }
    sources = dict(found.sources)
    for ours, (alone, together, columns) in joined.items():
        source = sources[f"layers/{ours}"]
        stored = tuple(name.replace(alone, together) for name in source.names)
        sources[f"layers/{ours}"] = dataclasses.replace(
            source, names=stored, columns=columns
        )
    return found._replace(sources=sources)


FAMILY = Family(
    name=Phi3Config.family,
    config=Phi3Config,
    make=make_decoder,
    published=MappingProxyType(
        {
            "microsoft/Phi-3-mini-4k-instruct": Phi3Config(
                vocab_size=32_064,
                width=3072,
                heads=32,
                kv_heads=32,
                head_width=96,
                ffn_width=8192,
                layers=32,
                positions=4096,
                norm_epsilon=1e-5,
                window=2047,
                bos_token_id=1,
                eos_token_id=32_000,
                pad_token_id=32_000,
            )
        }
    ),
    hugging_face=hugging_face_form(
        Phi3Config, "phi3", "Phi3ForCausalLM", _read_fields, _write_fields, _layout
    ),
    gguf=(decoder_gguf("phi3", names=JOINED, more=_read_gguf),),
)
"""Phi-3 with rotary positions that are not stretched.

Source: Abdin et al. 2024, sec. 2 (arXiv:2404.14219), and the released configuration.
"""
