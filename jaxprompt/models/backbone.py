"""What a frozen model must offer: to read; and what it may: to write, to fill masks."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import jax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.config import Config, SiteName
from jaxprompt.models.prefix import KeysValues, Prefixes
from jaxprompt.models.quantise import Table
from jaxprompt.models.slots import Slots
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params


class Cache(Protocol):
    """What a backbone remembers between decoding steps: a pytree of its own."""

    def take(self, rows: Int[Array, " R"]) -> Self:
        """Gathers rows of the batch: repeats them for beams, or picks some."""
        ...

    def reorder(self, rows: Int[Array, " B"]) -> Self:
        """Like `take`, cheaper, for rows that share a source."""
        ...


class Backbone(Protocol):
    """A frozen model that reads: a frozen dataclass, static and hashable.

    Its weights are arguments. Token ids never enter it, only embeddings: soft tokens
    join before it.
    """

    # What `dataclasses.replace` asks for.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def config(self) -> Config:
        """Sizes and switches."""
        ...

    @property
    def name(self) -> str:
        """Hub name or folder name."""
        ...

    @property
    def revision(self) -> str | None:
        """Commit of the Hub repository; None for a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of the checkpoint; see `models.fingerprint`."""
        ...

    @property
    def first_fingerprint(self) -> str:
        """The same by the rule of version 1, which saw embeddings and norms only."""
        ...

    @property
    def vocabulary(self) -> str | None:
        """Path of `spiece.model`, or of a folder with another vocabulary's files."""
        ...

    @property
    def width(self) -> int:
        """Model width D."""
        ...

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        ...

    @property
    def dtype(self) -> str:
        """Dtype to compute in; logits are float32."""
        ...

    @property
    def causal(self) -> bool:
        """Whether it has a decoder only."""
        ...

    @property
    def mesh(self) -> jax.sharding.Mesh | None:
        """Devices that share rows and scores; None for one."""
        ...

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights."""
        ...

    def table(self, params: Params) -> Table:
        """Returns the frozen embedding table; `quantise.look_up` reads its rows."""
        ...

    def keys_values(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> Mapping[SiteName, KeysValues]:
        """Returns what each site keeps of tokens that nothing stands in front of.

        Args:
            params: The weights.
            rows: Embedded tokens of each member, from position 0 on.

        Returns:
            For a `Prefix` at each site; they can be differentiated.

        Raises:
            ValueError: If there are more tokens than the model has positions.
        """
        ...

    def states(
        self,
        params: Params,
        tokens: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Reads tokens for a head.

        Args:
            params: The weights.
            tokens: Embedded tokens; a model without token types ignores theirs.
            prefix: What tokens attend to besides, at each site.
            dropout_key: None for no dropout.

        Returns:
            What the last layer makes of each token, its norm included; on padding,
            numbers without meaning.

        Raises:
            ValueError: If a prefix does not fit the model or stands where a head does
                not read, or row and prefix have more tokens than there are positions.
        """
        ...

    def lower(
        self,
        params: Params,
        source: Tokens,
        target: Tokens | None = None,
        *,
        prefix: Prefixes | None = None,
    ) -> tuple[Tokens, Tokens | None]:
        """Reads tokens by the layers below the first that reads a prefix.

        Where there is no prefix, or no layer reads one, these are all layers. The
        numbers of a prefix have no part in it, so that what comes out stays the same
        while they train: `states` and `logits` go on from it, behind the same prefix,
        as if they had begun with the embedded tokens.

        Args:
            params: The weights.
            source: Embedded tokens.
            target: Embedded target tokens, as of `Writer.logits`; None where a head
                reads the source.
            prefix: What tokens attend to besides, at each site.

        Returns:
            Both, with what these layers make of them. The target is as it was where its
            first layer already reads what a prefix has a part in.

        Raises:
            ValueError: As of `states`, target tokens counted too.
        """
        ...


@runtime_checkable
class Writer(Backbone, Protocol):
    """A frozen model that writes: from source to target.

    A decoder-only model has the same shape: its source is the text in front, and the
    target inputs begin with the last source token.
    """

    # What `encode` returns is the backbone's own: states, or keys and values.
    def encode(
        self,
        params: Params,
        source: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Any:
        """Reads a source.

        Args:
            params: The weights.
            source: Embedded tokens.
            prefix: What tokens attend to besides, at each site.
            dropout_key: None for no dropout.

        Returns:
            All that targets read: what the model made of the source, in the dtype to
            compute in, which of it is padding, and the prefixes at later sites.

        Raises:
            ValueError: If a prefix does not fit the model, or source and prefix have
                more tokens than the model has positions.
        """
        ...

    def logits(
        self,
        params: Params,
        source: Tokens,
        target: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores every next token of targets that are known (teacher forcing).

        Args:
            params: The weights.
            source: As for `encode`.
            target: Embedded target tokens, shifted right by one within each segment.
            prefix: As for `encode`.
            dropout_key: None for no dropout.

        Returns:
            Unnormalised log probabilities, float32.

        Raises:
            ValueError: As for `encode`, target tokens counted too.
        """
        ...

    def target_states(
        self,
        params: Params,
        source: Tokens,
        target: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L D"]:
        """Returns what the last layer makes of each target token; as `logits`."""
        ...

    def unembed(
        self, params: Params, y: Float[Array, "B L D"]
    ) -> Float[Array, "B L V"]:
        """Scores the next token of each of some `target_states`, as `logits` does."""
        ...

    def decode(
        self,
        params: Params,
        encoded: Any,
        target: Tokens,
        *,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Does the second half of `logits`: `encoded` comes from `encode`."""
        ...

    def start_cache(self, params: Params, encoded: Any, length: int) -> Any:
        """Makes room for `length` target tokens behind the source.

        Args:
            params: The weights.
            encoded: From `encode`, of one example in each row.
            length: Target tokens L that the cache can hold.

        Returns:
            A `Cache` whose next index is 0.

        Raises:
            ValueError: As for `logits`.
        """
        ...

    def decode_step(
        self, params: Params, cache: Any, y: Float[Array, "B D"], index: Int[Array, ""]
    ) -> tuple[Float[Array, "B V"], Any]:
        """Scores the next token of each row, one position at a time.

        Args:
            params: The weights.
            cache: From `start_cache` or from the step before.
            y: Embedded token at this position; the first is what `target` begins with.
            index: This position, from 0; less than the cache's length.

        Returns:
            Unnormalised log probabilities (float32), and the cache for index + 1.
        """
        ...


@runtime_checkable
class SlotWriter(Writer, Protocol):
    """A frozen model whose rows may join and leave a batch between decoding steps."""

    def start_slots(self, rows: int, capacity: int) -> Slots:
        """Makes rows that hold nothing yet.

        Args:
            rows: Rows S.
            capacity: Tokens C that each has room for.

        Raises:
            ValueError: If the model has fewer positions.
        """
        ...

    def extend_slots(self, params: Params, slots: Slots, tokens: Tokens) -> Slots:
        """Reads more tokens of each row, behind those that it holds.

        Args:
            params: The weights.
            slots: Rows with room for the tokens that are not padding.
            tokens: Embedded tokens, padding behind them.
        """
        ...

    def step_slots(
        self,
        params: Params,
        slots: Slots,
        y: Float[Array, "R D"],
        active: Bool[Array, " R"],
        *,
        columns: int,
    ) -> tuple[Float[Array, "R V"], Slots]:
        """Reads one token of each of the first R rows, and scores the next.

        Args:
            params: The weights.
            slots: The rows.
            y: The embedded token.
            active: Rows that the token is of; the others stay as they are.
            columns: How many columns are read, the first ones: no fewer than are filled
                in any active row.

        Returns:
            Unnormalised log probabilities (float32), and the rows with the token.
        """
        ...


@runtime_checkable
class Filler(Backbone, Protocol):
    """A frozen model that can have a masked-LM head."""

    def fill(
        self, params: Params, states: Float[Array, "B L D"]
    ) -> Float[Array, "B L V"]:
        """Scores the words that may stand where these tokens stand; float32."""
        ...


def writer_of(backbone: Backbone) -> Writer:
    """Returns a model as one that writes.

    Raises:
        ValueError: If it does not, as an encoder.
    """
    if isinstance(backbone, Writer):
        return backbone
    raise ValueError(
        f"{backbone.name} writes no words: give it a head, as --gin.HEAD=classes"
    )
