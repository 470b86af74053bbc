"""The sizes and switches of a decoder-only model."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxprompt.models.attention_form import Needs
from jaxprompt.models.config import Site, SiteName
from jaxprompt.models.layers.kinds import LayerKind, NormKind
from jaxprompt.models.layers.rotary import Divided, Rotary, Scaling
from jaxprompt.models.one_stack import OneStack
from jaxprompt.screen.quoting import quoted


@dataclasses.dataclass(frozen=True)
class Switches:
    """How a decoder computes; the defaults are those of GPT-2.

    Attributes:
        kv_heads: Heads G of keys and values.
        head_width: Width K of one head.
        layers: The kind of each layer, or a single one for all.
        query_scale: Multiplies the scores.
        norm: What its norms are.
        norms_in: Whether attention and feed-forward layer read normalised tokens.
        norms_out: Whether what they make is normalised before it is added.
        heads_normed: What of queries and keys is normalised: each "head", or "all"
            heads as one vector; None for nothing.
        attention_biases: Which of "query", "key", "value" and "out" have a bias.
        ffn_biases: Whether the matrices of the feed-forward layer have biases.
        gated: Whether the feed-forward layer has a gate.
        learned_positions: Whether a table of positions is added to the tokens.
        scaled_embedding: Whether embedded tokens are multiplied by sqrt(D).
        tied: Whether the embedding table is the output matrix too.
        score_cap: What the scores of attention stay below; None for nothing.
        logit_cap: What the scores of ids stay below; None for nothing.
    """

    kv_heads: int
    head_width: int
    layers: tuple[LayerKind, ...]
    query_scale: float
    norm: NormKind = "layer"
    norms_in: bool = True
    norms_out: bool = False
    heads_normed: Literal["head", "all"] | None = None
    attention_biases: tuple[str, ...] = ("query", "key", "value", "out")
    ffn_biases: bool = True
    gated: bool = False
    learned_positions: bool = True
    scaled_embedding: bool = False
    tied: bool = True
    score_cap: float | None = None
    logit_cap: float | None = None


@dataclasses.dataclass(frozen=True)
class DecoderConfig(OneStack, abc.ABC):
    """The sizes and switches that tell one decoder from another.

    A family has a class of its own, which names it, adds what its models differ in, and
    says by `switches` how they compute.

    Attributes:
        positions: Tokens that a sequence can have, soft ones included.
        activation: What feed-forward layers apply in the middle.
        norm_epsilon: Added to the variance in every norm.
        bos_token_id: Beginning-of-sequence among the checkpoint's own ids, if it has
            one: kept for config.json alone.
        eos_token_id: End-of-sequence, or several ids that end a text; kept for
            config.json alone.

    Raises:
        ValueError: As `OneStack`.
    """

    causal: ClassVar[bool] = True
    encoder_only: ClassVar[bool] = False

    positions: int
    activation: str
    norm_epsilon: float
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None

    @property
    @abc.abstractmethod
    def switches(self) -> Switches:
        """How the model computes."""

    @property
    def sites(self) -> Mapping[SiteName, Site]:
        """The one site of a decoder."""
        switches = self.switches
        site = Site(self.layers, switches.kv_heads, switches.head_width)
        return {"decoder": site}

    @property
    def attention_needs(self) -> Needs:
        """What its attention needs of a form."""
        switches = self.switches
        return Needs(switches.head_width, capped=switches.score_cap is not None)


@dataclasses.dataclass(frozen=True)
class RotaryConfig(DecoderConfig):
    """What decoders with rotary positions have: Llama, and those that came after it.

    Attributes:
        kv_heads: Heads G of keys and values.
        head_width: Width K of one head; H * K need not be the width D.
        theta: Base of the wavelengths of rotary positions.
        scaling: How they are scaled for long texts; None for not at all.
        window: Tokens that a token of a sliding layer sees, itself among them; None
            where there is no such layer.
        sliding: Whether each layer slides; empty for all where there is a window.
        tied: Whether the embedding table is the output matrix too.
        pad_token_id: Padding among the checkpoint's own ids, if it has one: kept for
            config.json alone.

    Raises:
        ValueError: As for `DecoderConfig`; or if heads of keys and values do not divide
            those of queries, the head width is odd, there are divisors for another
            number of pairs of features, or `sliding` is not as long as there are
            layers.
    """

    activation: str = "silu"
    norm_epsilon: float = 1e-6
    kv_heads: int = dataclasses.field(kw_only=True)
    head_width: int = dataclasses.field(kw_only=True)
    theta: float = 10_000.0
    scaling: Scaling | None = None
    window: int | None = None
    sliding: tuple[bool, ...] = ()
    tied: bool = False
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.family} kv_heads {self.kv_heads} do not divide {self.heads} "
                "heads: each must serve as many heads of queries"
            )
        if self.head_width % 2:
            raise ValueError(
                f"{self.family} head_width {self.head_width} is odd, but rotary "
                "positions turn pairs of features: use an even one"
            )
        if self.window is not None and (
            type(self.window) is not int or self.window < 1
        ):
            raise ValueError(
                f"{self.family} window {quoted(self.window)}: use 1 or more tokens, or "
                "None"
            )
        if isinstance(self.scaling, Divided):
            pairs = len(self.scaling.divisors)
            if 2 * pairs != self.head_width:
                raise ValueError(
                    f"{self.family} rotary positions have {pairs} divisors, but heads "
                    f"of width {self.head_width} have {self.head_width // 2} pairs of "
                    "features"
                )
        if not self.theta > 1:
            raise ValueError(
                f"{self.family} theta {self.theta}: use a number above 1, as 10000.0"
            )
        if len(self.sliding) not in (0, self.layers):
            raise ValueError(
                f"{self.family} sliding has {len(self.sliding)} entries for "
                f"{self.layers} layers: give one for each, or none"
            )

    def slides(self, layer: int) -> bool:
        """Whether a layer, from 0, sees no more than the window."""
        return self.window is not None and (not self.sliding or self.sliding[layer])

    @property
    def rotary(self) -> Rotary:
        """How queries and keys turn, mostly in all layers."""
        return Rotary(self.theta, self.head_width, self.scaling)

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, or a single one for all."""
        full, near = LayerKind(self.rotary), LayerKind(self.rotary, self.window)
        if not self.sliding:
            return (near,)
        return tuple(near if slides else full for slides in self.sliding)

    @property
    def switches(self) -> Switches:
        """How Llama computes; a family replaces what it does otherwise."""
        return Switches(
            kv_heads=self.kv_heads,
            head_width=self.head_width,
            layers=self.layer_kinds,
            query_scale=self.head_width**-0.5,
            norm="rms",
            attention_biases=(),
            ffn_biases=False,
            gated=True,
            learned_positions=False,
            tied=self.tied,
        )
