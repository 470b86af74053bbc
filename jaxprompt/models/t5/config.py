"""The sizes and switches of a T5."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from jaxprompt.models.attention_form import Needs
from jaxprompt.models.config import Site, SiteName, check_config

_ROW_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class T5Config:
    """The sizes and switches that tell one T5 from another.

    Attributes:
        vocab_rows: Rows V of the embedding table, padded rows included; 0 until
            `for_vocabulary` has set it.
        width: Model width D.
        heads: Attention heads H.
        head_width: Width K of one head; H * K need not be D.
        ffn_width: Feed-forward width F.
        encoder_layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        gated: Whether the feed-forward layer has a gate (1.1 and later).
        activation: What feed-forward layers apply in the middle.
        tied: Whether the embedding table is also the output matrix.
        scaled_logits: Whether the decoder's output is multiplied by D**-0.5 (1.0).
        buckets: Buckets of the relative position bias.
        max_distance: Distance in tokens where the last bucket starts.
        norm_epsilon: Added to the mean square in every norm.

    Raises:
        ValueError: If a size is no positive integer, or the activation is unknown.
    """

    causal: ClassVar[bool] = False
    encoder_only: ClassVar[bool] = False

    vocab_rows: int
    width: int
    heads: int
    head_width: int
    ffn_width: int
    encoder_layers: int
    decoder_layers: int
    gated: bool
    activation: str
    tied: bool
    scaled_logits: bool
    buckets: int = 32
    max_distance: int = 128
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_config("T5", self, vocabulary="vocab_rows")
        if self.buckets < 4 or self.max_distance < self.buckets:
            raise ValueError(
                f"T5 buckets {self.buckets}, max_distance {self.max_distance}: the "
                "position bias needs 4 buckets or more, and no more than max_distance"
            )

    @property
    def positions(self) -> None:
        """No limit: distances that are not told apart have one bias."""
        return

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The attention of the encoder, and both of the decoder."""
        encoder = Site(self.encoder_layers, self.heads, self.head_width)
        decoder = Site(self.decoder_layers, self.heads, self.head_width)
        return {"encoder": encoder, "decoder": decoder, "cross": decoder}

    @property
    def attention_needs(self) -> Needs:
        """What its attention needs of a form."""
        return Needs(self.head_width, biased=True)

    @property
    def text_rows(self) -> int:
        """Ids of text that the embedding table has a row for: all of its rows."""
        return self.vocab_rows

    def for_vocabulary(self, size: int) -> "T5Config":
        """Sets the rows of the embedding table where they are 0, and checks them.

        Args:
            size: Ids of the vocabulary, sentinels included.

        Returns:
            The config with `size` rows, rounded up to a multiple of 128 so that
            devices divide them, or with the rows that it had.

        Raises:
            ValueError: If there are fewer rows than ids.
        """
        rows = self.vocab_rows or -(-size // _ROW_MULTIPLE) * _ROW_MULTIPLE
        if rows < size:
            raise ValueError(
                f"T5 vocab_rows {rows} < {size} ids of the vocabulary: use at least "
                f"{size}, or 0 for as many as it needs"
            )
        return dataclasses.replace(self, vocab_rows=rows)
