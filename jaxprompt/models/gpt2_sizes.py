"""The sizes of published GPT-2s, by their Hub names: to plan for one without it."""

from collections.abc import Mapping
from types import MappingProxyType

from jaxprompt.models.gpt2_config import GPT2Config


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


PUBLISHED: Mapping[str, GPT2Config] = MappingProxyType(
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
