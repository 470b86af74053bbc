"""Two runs row by row: which has more right answers, and whether by chance."""

from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.05
"""A difference that chance makes less often than this is called one."""


class Paired(NamedTuple):
    """What two runs answer right of the same rows.

    Attributes:
        both: Rows that both answer right.
        first: Rows that only the first does.
        second: Rows that only the second does.
        neither: Rows that neither does.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def difference(self) -> float:
        """Share of right answers of the second less that of the first, in points."""
        return 100 * (self.second - self.first) / self.rows

    @property
    def margin(self) -> float:
        """Half the width of the difference's 95 % interval, in points.

        Source: Agresti, Categorical Data Analysis, 2nd ed., sec. 10.1.1: the large
        sample variance of a difference of paired shares.
        """
        rows, first, second = self.rows, self.first, self.second
        variance = (first + second - (first - second) ** 2 / rows) / rows**2
        return 100 * 1.96 * max(variance, 0.0) ** 0.5

    @property
    def p_value(self) -> float:
        """How often chance alone would make them differ as much, 0 to 1: McNemar's.

        It is the exact test, a binomial one of the rows that only one answers right.

        Source: McNemar 1947 (doi:10.1007/BF02295996); Dietterich 1998, sec. 3.1.
        """
        from scipy.stats import binomtest

        unlike = self.first + self.second
        return float(binomtest(self.first, unlike).pvalue) if unlike else 1.0

    def verdict(self, first: str, second: str) -> str:
        """Says in words what the numbers say.

        Args:
            first: What to call the first run.
            second: What to call the second one.
        """
        better = second if self.difference > 0 else first
        if not self.difference:
            return "both answer as many rows right"
        if self.p_value < LEVEL:
            return f"{better} is better: chance alone would rarely differ so much"
        return f"{better} has more right, but chance alone may well differ so much"


def compare_answers(first: Sequence[bool], second: Sequence[bool]) -> Paired:
    """Counts which of two runs answers which rows right.

    Args:
        first: Of each row, whether the first run answers it right.
        second: Whether the second one does.

    Raises:
        ValueError: If there is no row.
    """
    if not first:
        raise ValueError("no rows to compare: give runs that were scored on some")
    pairs = list(zip(first, second, strict=True))
    kinds = ((True, True), (True, False), (False, True), (False, False))
    return Paired(*(pairs.count(kind) for kind in kinds))
