"""How long the texts of an example may be, in tokens."""

import dataclasses

SHORT_INPUT = 16
"""Tokens of a short example: as many of these fill a packed row."""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """The longest text of an example, in tokens.

    End-of-sequence counts and is never cut. Soft tokens do not count: the model sees
    T = P + inputs source tokens.

    Attributes:
        inputs: Source tokens of text.
        targets: Target tokens L of a row.
        folds: Whether rows for a decoder are without the run of tokens in front of all
            of them, which it then reads once; see `shapes.Batch.lead`.
        longest_target: Target tokens that an example keeps, where a packed row has room
            for those of several; None for as many as a row.
    """

    inputs: int
    targets: int
    folds: bool = True
    longest_target: int | None = None

    def __post_init__(self) -> None:
        if min(self.inputs, self.targets) < 1:
            raise ValueError(
                f"lengths inputs={self.inputs}, targets={self.targets}: both must be "
                "1 or more, to hold the end-of-sequence"
            )

    def packed_targets(self, soft_tokens: int) -> int:
        """Returns the target tokens of a packed row: of as many short examples as fit.

        Args:
            soft_tokens: Those that each example of a row has.
        """
        each = soft_tokens + SHORT_INPUT
        return self.targets * max((soft_tokens + self.inputs) // each, 1)
