"""The sizes and switches of a decoder-only model."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Self

from jaxprompt.models.config import check_config
from jaxprompt.models.prefix import Site, SiteName

_ROW_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """The sizes and switches that tell one decoder from another.

    A family has a class of its own, which names it and gives what its models share.

    Attributes:
        vocab_size: Ids of the checkpoint's own vocabulary; 0 until `for_vocabulary`
            has set it. Here they stand one higher, from 1 to `vocab_size`: id 0 is
            padding.
        width: Model width D.
        heads: Attention heads H.
        ffn_width: Feed-forward width F.
        layers: Layers N.
        positions: Tokens that a sequence can have, soft ones included.
        activation: A name in `feed_forward.ACTIVATIONS`.
        norm_epsilon: Added to the variance in every norm.
        bos_token_id: Beginning-of-sequence among the checkpoint's own ids, if it has
            one: kept for config.json alone.
        eos_token_id: End-of-sequence, likewise.

    Raises:
        ValueError: If a size is no positive integer, the heads do not divide the
            width, or the activation is unknown.
    """

    causal: ClassVar[bool] = True
    family: ClassVar[str]
    """What errors call it."""

    vocab_size: int
    width: int
    heads: int
    ffn_width: int
    layers: int
    positions: int
    activation: str
    norm_epsilon: float
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        check_config(self.family, self, vocabulary="vocab_size")
        if self.width % self.heads:
            raise ValueError(
                f"{self.family} width {self.width} is not divisible by {self.heads} "
                "heads"
            )

    @property
    def head_width(self) -> int:
        """Width K of one head."""
        return self.width // self.heads

    @property
    def kv_heads(self) -> int:
        """Heads G of keys and values: as many as of queries."""
        return self.heads

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The one site of a decoder."""
        return {"decoder": Site(self.layers, self.kv_heads, self.head_width)}

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table.

        One of zeros in front, for padding, and more behind it up to a multiple of 128,
        so that devices divide them: a checkpoint's own number is often odd.
        """
        return -(-(1 + self.vocab_size) // _ROW_MULTIPLE) * _ROW_MULTIPLE

    @property
    def text_rows(self) -> int:
        """Ids of text that the table has a row for: those up to `vocab_size`."""
        return 1 + self.vocab_size

    def for_vocabulary(self, size: int) -> Self:
        """Sets the size of the vocabulary where it is 0, and checks it.

        Args:
            size: Ids of the vocabulary, padding's id 0 included.

        Returns:
            The config with `size` - 1 ids of its own, or with those that it had.

        Raises:
            ValueError: If there are fewer ids than the vocabulary has.
        """
        own = self.vocab_size or size - 1
        if own < size - 1:
            raise ValueError(
                f"{self.family} vocab_size {own} < {size - 1} ids of the vocabulary: "
                f"use at least {size - 1}, or 0 for as many as it needs"
            )
        return dataclasses.replace(self, vocab_size=own)
