"""Keys and values that stand before every row: a deep prompt, or a folded one."""

import dataclasses

import jax
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prefix:
    """Keys and values of P soft tokens for each layer, of M members.

    Every token of a row, source or target, attends to all P of its member, and the
    row's own positions start at P.

    Attributes:
        keys: Keys of the soft tokens.
        values: Values of the soft tokens.
        rows: Member that each row of the batch attends to, from 0 to M - 1.
    """

    keys: Float[Array, "N M P H K"]
    values: Float[Array, "N M P H K"]
    rows: Int[Array, " B"]

    @property
    def length(self) -> int:
        """Soft tokens P of a member; 0 for a prefix of nothing."""
        return self.keys.shape[2]

    @property
    def members(self) -> int:
        """Members M."""
        return self.keys.shape[1]

    def take(self, rows: Int[Array, " R"]) -> "Prefix":
        """Gathers rows of the batch; the keys and values themselves stay."""
        return dataclasses.replace(self, rows=self.rows[rows])
