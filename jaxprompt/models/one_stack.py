"""The sizes of a model with one stack of layers, as every such family has them."""

import dataclasses
from typing import ClassVar, Self

from jaxprompt.models.config import check_config

_ROW_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class OneStack:
    """Sizes of a decoder-only or an encoder-only model.

    Attributes:
        vocab_size: Ids of the checkpoint's vocabulary; 0 until `for_vocabulary` has
            set it.
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

        They are the checkpoint's, and rows of zeros behind them up to a multiple of
        128, so that devices divide them: a checkpoint's own number is often odd.
        """
        return -(-self.vocab_size // _ROW_MULTIPLE) * _ROW_MULTIPLE

    @property
    def row_padding(self) -> int:
        """Rows of zeros behind the checkpoint's own rows."""
        return self.vocab_rows - self.vocab_size

    @property
    def text_rows(self) -> int:
        """Ids that the table has a row of the checkpoint for."""
        return self.vocab_size

    def for_vocabulary(self, size: int) -> Self:
        """Sets the size of the vocabulary where it is 0, and checks it.

        Args:
            size: Ids of the vocabulary.

        Returns:
            The config with `size` ids, or with those that it had.

        Raises:
            ValueError: If there are fewer ids than the vocabulary has.
        """
        own = self.vocab_size or size
        if own < size:
            raise ValueError(
                f"{self.family} vocab_size {own} < {size} ids of the vocabulary: "
                f"use at least {size}, or 0 for as many as it needs"
            )
        return dataclasses.replace(self, vocab_size=own)
