"""The ids of a checkpoint, one higher here: id 0 is padding, whatever it was there."""

import dataclasses
from typing import ClassVar, Self

from jaxprompt.models.config import check_config

_ROW_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class ShiftedIds:
    """Sizes of a model with one stack of layers, whose ids are the checkpoint's own.

    Attributes:
        vocab_size: Ids of the checkpoint's own vocabulary; 0 until `for_vocabulary`
            has set it. Here they stand one higher, from 1 to `vocab_size`: id 0 is
            padding.
        width: Model width D.
        heads: Attention heads H.
        ffn_width: Feed-forward width F.
        layers: Layers N.

    Raises:
        ValueError: If a size is no positive integer, or the activation is unknown.
    """

    family: ClassVar[str]
    """What errors call it."""

    vocab_size: int
    width: int
    heads: int
    ffn_width: int
    layers: int

    def __post_init__(self) -> None:
        check_config(self.family, self, vocabulary="vocab_size")

    def check_heads(self) -> None:
        """Raises ValueError unless the heads divide the width among them."""
        if self.width % self.heads:
            raise ValueError(
                f"{self.family} width {self.width} is not divisible by {self.heads} "
                "heads"
            )

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table.

        One of zeros in front, for padding, and more behind it up to a multiple of 128,
        so that devices divide them: a checkpoint's own number is often odd.
        """
        return -(-(1 + self.vocab_size) // _ROW_MULTIPLE) * _ROW_MULTIPLE

    @property
    def row_padding(self) -> tuple[int, int]:
        """Rows of zeros in front of the checkpoint's own rows, and behind them."""
        return 1, self.vocab_rows - self.vocab_size - 1

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
