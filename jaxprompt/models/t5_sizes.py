"""The sizes of the published T5s, by their Hub names: to plan for one without it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from jaxprompt.models.t5_config import T5Config


class _Size(NamedTuple):
    """Sizes of one model; both stacks have as many layers."""

    width: int
    heads: int
    head_width: int
    ffn_width: int
    layers: int


_T5_1_0 = {
    "small": _Size(512, 8, 64, 2048, 6),
    "base": _Size(768, 12, 64, 3072, 12),
    "large": _Size(1024, 16, 64, 4096, 24),
    "3b": _Size(1024, 32, 128, 16384, 24),
    "11b": _Size(1024, 128, 128, 65536, 24),
}
_T5_1_1 = {
    "small": _Size(512, 6, 64, 1024, 8),
    "base": _Size(768, 12, 64, 2048, 12),
    "large": _Size(1024, 16, 64, 2816, 24),
    "xl": _Size(2048, 32, 64, 5120, 24),
    "xxl": _Size(4096, 64, 64, 10240, 24),
}


def _config(size: _Size, vocab_rows: int, *, first: bool) -> T5Config:
    return T5Config(
        vocab_rows=vocab_rows,
        width=size.width,
        heads=size.heads,
        head_width=size.head_width,
        ffn_width=size.ffn_width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        gated=not first,
        activation="relu" if first else "gelu_new",
        tied=first,
        scaled_logits=first,
    )


def _published() -> dict[str, T5Config]:
    found = {}
    for size, sizes in _T5_1_0.items():
        found[f"google-t5/t5-{size}"] = _config(sizes, 32_128, first=True)
    for size, sizes in _T5_1_1.items():
        english = _config(sizes, 32_128, first=False)
        found[f"google/t5-v1_1-{size}"] = english
        found[f"google/t5-{size}-lm-adapt"] = english
        found[f"google/flan-t5-{size}"] = english
        found[f"google/mt5-{size}"] = _config(sizes, 250_112, first=False)
    return found


PUBLISHED: Mapping[str, T5Config] = MappingProxyType(_published())
"""Hub name -> sizes and switches, as the config.json of each says.

Source: Raffel et al. 2020, sec. 3.7 (arXiv:1910.10683) for 1.0; the released
configurations of T5 1.1 and mT5 (Xue et al. 2021, arXiv:2010.11934).
"""
