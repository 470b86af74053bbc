"""The sizes and switches of an encoder-only model."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from jaxprompt.models.attention_form import Needs
from jaxprompt.models.config import Site, SiteName
from jaxprompt.models.layers.kinds import LayerKind, NormKind
from jaxprompt.models.one_stack import OneStack


@dataclasses.dataclass(frozen=True)
class EncoderSwitches:
    """How an encoder computes; the defaults are those of BERT.

    Attributes:
        layers: The kind of each layer, or a single one for all.
        norm: What its norms are.
        norms_first: Whether attention and feed-forward layer read normalised tokens, as
            do heads; otherwise the sums behind them are normalised.
        first_reads_bare: Whether attention in the first layer reads tokens as they are,
            where `norms_first`.
        biases: Whether its matrices have biases.
        gated: Whether the feed-forward layer has a gate.
        tables: Whether tables of positions and token types are added to the tokens.
    """

    layers: tuple[LayerKind, ...] = (LayerKind(),)
    norm: NormKind = "layer"
    norms_first: bool = False
    first_reads_bare: bool = False
    biases: bool = True
    gated: bool = False
    tables: bool = True


@dataclasses.dataclass(frozen=True)
class EncoderConfig(OneStack):
    """The sizes and switches that tell one encoder from another; see `OneStack`.

    A family has a class of its own, which names it, adds what its models differ in, and
    says by `switches` how they compute.

    Attributes:
        positions: Rows of the table of positions, or tokens that a row can have.
        types: Rows of the table of token types.
        activation: A name in `feed_forward.ACTIVATIONS`.
        norm_epsilon: Added to the variance in every norm.
        pooler: Whether the checkpoint has a pooler.
        fills: Whether the checkpoint has a masked-LM head, which scores the words that
            may stand in a mask's place.
        pad_token_id: Padding among the checkpoint's own ids.

    Raises:
        ValueError: As `OneStack`; or if the heads do not divide the width.
    """

    causal: ClassVar[bool] = False
    encoder_only: ClassVar[bool] = True

    positions: int = 512
    types: int = 2
    activation: str = "gelu"
    norm_epsilon: float = 1e-12
    pooler: bool = True
    fills: bool = False
    pad_token_id: int | None = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_heads()

    @property
    def switches(self) -> EncoderSwitches:
        """How the model computes."""
        return EncoderSwitches()

    @property
    def first_position(self) -> int:
        """Row of the table of positions that the first token of a text has."""
        return 0

    @property
    def most_tokens(self) -> int:
        """Tokens that a row can have, soft ones included."""
        return self.positions - self.first_position

    @property
    def fill_activation(self) -> str:
        """Activation of the masked-LM head."""
        return self.activation

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The one site of an encoder."""
        return {"encoder": Site(self.layers, self.heads, self.width // self.heads)}

    @property
    def attention_needs(self) -> Needs:
        """What its attention needs of a form."""
        return Needs(self.width // self.heads)
