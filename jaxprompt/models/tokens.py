"""The tokens that a model reads: embedded already, each with its example's number."""

import dataclasses

import jax
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tokens:
    """The source or the target of a batch's rows.

    Attributes:
        x: Embedding of each token, soft tokens among them; any numbers on padding.
            Behind the first `layers`, what these have made of it.
        segments: Example of each token within its row, from 1; 0 on padding.
        types: Token type of each token; None for type 0 and for models without types.
        layers: Layers of the model that x has been through: those that follow are still
            to be applied.
    """

    x: Float[Array, "B T D"]
    segments: Int[Array, "B T"]
    types: Int[Array, "B T"] | None = None
    layers: int = dataclasses.field(default=0, metadata={"static": True})

    @property
    def length(self) -> int:
        """Tokens T of a row, padding included."""
        return self.segments.shape[1]
