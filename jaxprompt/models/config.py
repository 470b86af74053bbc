"""What every family's config offers: the sizes and switches of one model."""

import dataclasses
from collections.abc import Mapping
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    get_args,
)

from jaxprompt.models.attention_form import Needs
from jaxprompt.models.layers.kinds import Activation
from jaxprompt.screen.quoting import quoted

MOST = 2**31 - 1
"""Largest size of anything: devices count in 32 bits."""


SiteName: TypeAlias = Literal["encoder", "decoder", "cross"]
"""Where attention can read a prefix: among the tokens of the encoder, among those of
the decoder, or from the decoder into the source."""


class Site(NamedTuple):
    """The attention of one site, in all of its layers.

    Attributes:
        layers: Layers N.
        kv_heads: Heads G of its keys and values.
        head_width: Width K of one head.
    """

    layers: int
    kv_heads: int
    head_width: int


class Config(Protocol):
    """Sizes and switches: a frozen dataclass. Each family has a class of its own."""

    # What `dataclasses.replace` and `dataclasses.asdict` ask for.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    causal: ClassVar[bool]
    """Whether the model has a decoder only."""

    encoder_only: ClassVar[bool]
    """Whether it has an encoder only: it writes no words by itself."""

    @property
    def width(self) -> int:
        """Model width D."""
        ...

    @property
    def heads(self) -> int:
        """Attention heads H."""
        ...

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        ...

    @property
    def text_rows(self) -> int:
        """Ids of text that the embedding table has a row for."""
        ...

    @property
    def positions(self) -> int | None:
        """Most tokens of a row, those of a prompt among them; None for any number."""
        ...

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The sites that the model has, in the order in which text passes them."""
        ...

    @property
    def attention_needs(self) -> Needs:
        """What its attention needs of a form."""
        ...

    def for_vocabulary(self, size: int) -> Self:
        """Sets the size of the vocabulary where it is 0, and checks it.

        Args:
            size: Ids of the vocabulary.

        Raises:
            ValueError: If the table has fewer rows than the vocabulary has ids.
        """
        ...


def check_config(family: str, config: Any, *, vocabulary: str) -> None:
    """Checks what every family's config has: sizes, an activation and an epsilon.

    Args:
        family: What errors call the model.
        config: A dataclass; each field whose type is int is a size.
        vocabulary: The field that may be 0, until `Config.for_vocabulary` has set it.

    Raises:
        ValueError: If a size is no positive integer, the epsilon is no small number, or
            the activation is unknown.
    """
    for field in dataclasses.fields(config):
        if field.type is not int:
            continue
        value = getattr(config, field.name)
        least = 0 if field.name == vocabulary else 1
        if type(value) is not int or value < least:  # True is an int.
            raise ValueError(
                f"{family} {field.name} {quoted(value)} is no positive integer"
            )
        if value > MOST:
            raise ValueError(f"{family} {field.name} {value!s:.20} is above {MOST}")
    epsilon = config.norm_epsilon
    if type(epsilon) not in (int, float) or not 0 <= epsilon < 1:
        raise ValueError(
            f"{family} norm_epsilon {quoted(epsilon)} is no number from 0 to 1, as 1e-6"
        )
    check_activation(family, "activation", config.activation)


def check_activation(family: str, field: str, activation: Any) -> None:
    """Raises ValueError unless a model's activation is one of those there are.

    Args:
        family: What errors call the model.
        field: Of its config, that names the activation.
        activation: What it names.
    """
    if activation not in get_args(Activation):
        raise ValueError(
            f"{family} {field} {quoted(activation)} is none of "
            f"{', '.join(get_args(Activation))}"
        )
