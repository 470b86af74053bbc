"""What a head must offer: its own weights, and what its answers lose."""

from typing import NamedTuple, Protocol

import jax
from jaxtyping import Array, Bool, Float

from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


class Losses(NamedTuple):
    """What a batch's answers lose, before they are summed; see `train.loss`.

    Attributes:
        nats: Cross-entropy of each token of a true answer.
        log_z: Logarithm of the normaliser of its scores, for the z-loss.
        hits: Whether the true token has the highest score.
    """

    nats: Float[Array, "B L"]
    log_z: Float[Array, "B L"]
    hits: Bool[Array, "B L"]


class Head(Protocol):
    """A kind of answer: a frozen value, static to a compiled step.

    Its weights are `params["head"]`. Each leaf leads with the members M, so that every
    member of a bank has a head of its own.
    """

    @property
    def name(self) -> str:
        """What prompt files call it."""
        ...

    def init(self, key: jax.Array, backbone: Backbone, members: int) -> Params:
        """Draws the weights that training starts from; {} where it has none.

        Args:
            key: Typed PRNG key; consumed.
            backbone: The frozen model, for its sizes.
            members: Members M of the bank.
        """
        ...

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores the true answers of a batch.

        Args:
            backbone: The frozen model's functions.
            params: The joined tree, with a `Prompt`.
            batch: Rows to learn from.
            dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
                dropout without it.
        """
        ...
