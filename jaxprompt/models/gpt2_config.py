"""The sizes and switches of a GPT-2."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from jaxprompt.models.config import Site, SiteName, check_config

_ROW_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class GPT2Config:
    """The sizes and switches that tell one GPT-2 from another.

    Attributes:
        vocab_size: Ids of the checkpoint's own vocabulary; 0 until `for_vocabulary`
            has set it. Here they stand one higher, from 1 to `vocab_size`: id 0 is
            padding.
        width: Model width D.
        heads: Attention heads H.
        ffn_width: Feed-forward width F.
        layers: Layers N.
        positions: Tokens that a sequence can have, soft ones included.
        activation: A name in `layers.ACTIVATIONS`.
        norm_epsilon: Added to the variance in every norm.
        bos_token_id: Beginning-of-sequence among the checkpoint's own ids, if it has
            one: kept for config.json alone.
        eos_token_id: End-of-sequence, likewise.

    Raises:
        ValueError: If a size is no positive integer, the heads do not divide the
            width, or the activation is unknown.
    """

    causal: ClassVar[bool] = True

    vocab_size: int
    width: int
    heads: int
    ffn_width: int
    layers: int
    positions: int = 1024
    activation: str = "gelu_new"
    norm_epsilon: float = 1e-5
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        check_config("GPT-2", self, vocabulary="vocab_size")
        if self.width % self.heads:
            raise ValueError(
                f"GPT-2 width {self.width} is not divisible by {self.heads} heads"
            )

    @property
    def head_width(self) -> int:
        """Width K of one head."""
        return self.width // self.heads

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The one site of a decoder."""
        return {"decoder": Site(self.layers, self.heads, self.head_width)}

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

    def for_vocabulary(self, size: int) -> "GPT2Config":
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
                f"GPT-2 vocab_size {own} < {size - 1} ids of the vocabulary: use at "
                f"least {size - 1}, or 0 for as many as it needs"
            )
        return dataclasses.replace(self, vocab_size=own)
