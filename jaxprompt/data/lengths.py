"""How long the texts of an example may be, in tokens."""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class Lengths:
    """The longest text of an example, in tokens.

    End-of-sequence counts and is never cut. Soft tokens do not count: the model sees
    T = P + inputs source tokens.

    Attributes:
        inputs: Source tokens of text.
        targets: Target tokens L.
    """

    inputs: int
    targets: int

    def __post_init__(self) -> None:
        if min(self.inputs, self.targets) < 1:
            raise ValueError(
                f"lengths inputs={self.inputs}, targets={self.targets}: both must be "
                "1 or more, to hold the end-of-sequence"
            )

    def of_rows(self, soft_ids: Int[np.ndarray, " P"]) -> dict[str, int]:
        """Returns the widths of a row: {"inputs": T, "targets": L}."""
        return {"inputs": len(soft_ids) + self.inputs, "targets": self.targets}
