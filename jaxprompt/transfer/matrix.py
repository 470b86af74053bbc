"""The matrix of every prompt's score on every task, and its CSV file."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import quoted, quoted_path
from jaxprompt.transfer.categories import pair_types

CORNER = r"target\source"
"""What stands above the names of the tasks, and before those of the prompts."""

RANDOM = "random"
"""Name of the column of a prompt that was never trained."""


@dataclasses.dataclass(frozen=True)
class ScoreMatrix:
    """Scores of prompts (sources) on tasks (targets).

    Attributes:
        targets: Names of the tasks.
        sources: Names of the prompts.
        scores: In the metric's own unit; NaN where nothing was measured.
        trained_on: Of each prompt the task that it was trained on, several of which
            may be of one task; empty where each is called as its task.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    scores: Float[np.ndarray, "targets sources"]
    trained_on: tuple[str, ...] = ()

    def own(self) -> Float[np.ndarray, " targets"]:
        """Returns what each task's own prompts score in the mean; NaN without one."""
        tasks = [name.lower() for name in self.trained_on or self.sources]
        found = np.full(len(self.targets), np.nan)
        for row, target in enumerate(self.targets):
            own = [place for place, task in enumerate(tasks) if task == target.lower()]
            if own:
                found[row] = self.scores[row, own].mean()
        return found

    def relative(self) -> Float[np.ndarray, "targets sources"]:
        """Returns score / own score, of each task; NaN where the own score is 0.

        Source: Su et al. 2022, sec. 3.2 (arXiv:2111.06719).
        """
        own = self.own()[:, None]
        return np.divide(
            self.scores, own, out=np.full_like(self.scores, np.nan), where=own != 0
        )

    def above_chance(
        self,
        chance: Float[np.ndarray, " targets"],
        margin: Float[np.ndarray, " targets"] | float = 0.0,
    ) -> Float[np.ndarray, "targets sources"]:
        """Returns (score - chance) / (own score - chance), of each task.

        The plain ratio flatters every prompt on a task whose majority class is large:
        on MRPC whoever says "equivalent" always has most of the own prompt's score.

        Args:
            chance: What each task's majority class scores, in the scores' unit.
            margin: How far above that a task's own score has to be. A task whose own
                prompt learnt nothing that shows has nothing that others could share.

        Returns:
            0 for chance and 1 for the own prompt; NaN where the own score is not above
            chance by more than the margin.
        """
        gained = self.scores - chance[:, None]
        own = (self.own() - chance)[:, None]
        learnt = (self.own() - chance > margin)[:, None]
        return np.divide(gained, own, out=np.full_like(gained, np.nan), where=learnt)

    def group_means(
        self, values: Float[np.ndarray, "targets sources"]
    ) -> dict[str, Float[np.ndarray, " targets"]]:
        """Takes each task's mean over the prompts of other tasks, by their type.

        Args:
            values: Of each task and prompt, as from `relative` or `above_chance`.

        Returns:
            `categories.SAME`, `categories.OTHER` and `RANDOM` -> the mean of each task;
            NaN where no such prompt has a value.
        """
        tasks = self.trained_on or self.sources
        random = np.array([source == RANDOM for source in self.sources])
        groups = pair_types(
            self.targets, ["" if r else t for r, t in zip(random, tasks, strict=True)]
        )
        groups[RANDOM] = np.broadcast_to(random, values.shape)
        return {name: _row_means(values, here) for name, here in groups.items()}

    def among(self, names: Sequence[str]) -> "ScoreMatrix":
        """Takes the square part of tasks and prompts of these names, in their order.

        Raises:
            ValueError: If a name is no task or no prompt of it.
        """
        rows = [_place(self.targets, name, "task") for name in names]
        columns = [_place(self.sources, name, "prompt") for name in names]
        scores = self.scores[np.ix_(rows, columns)]
        return ScoreMatrix(tuple(names), tuple(names), scores)

    def to_csv(self) -> str:
        """Writes a row for each task, an empty cell where nothing was measured."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([CORNER, *self.sources])
        for target, row in zip(self.targets, self.scores.tolist(), strict=True):
            cells = ["" if np.isnan(score) else repr(score) for score in row]
            writer.writerow([target, *cells])
        return text.getvalue()


def _row_means(
    values: Float[np.ndarray, "targets sources"],
    here: Bool[np.ndarray, "targets sources"],
) -> Float[np.ndarray, " targets"]:
    used = here & np.isfinite(values)
    counts = used.sum(axis=1)
    sums = np.where(used, values, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def read_matrix(path: Path) -> ScoreMatrix:
    """Reads a matrix as `ScoreMatrix.to_csv` writes it.

    Args:
        path: A .csv file: prompts in the first line, then a line for each task.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such table.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no matrix at {quoted_path(path)}: check the path")
    lines = [line for line in csv.reader(io.StringIO(read_utf8(path))) if line]
    if len(lines) < 2 or len(lines[0]) < 2:
        raise ValueError(
            f"{quoted_path(path)} is no matrix of scores: its first line names the "
            "prompts, and a line for each task follows"
        )
    (_, *sources), *rows = lines
    scores = []
    for number, row in enumerate(rows, start=2):
        # The last columns of a line may be left out: nothing was measured.
        cells = row[1:] + [""] * (len(sources) + 1 - len(row))
        try:
            scores.append([float(cell) if cell.strip() else np.nan for cell in cells])
        except ValueError as error:
            raise ValueError(f"{quoted_path(path)}, line {number}: {error}") from error
        if len(cells) != len(sources):
            raise ValueError(
                f"{quoted_path(path)}, line {number}: {len(cells)} scores for "
                f"{len(sources)} prompts"
            )
    return ScoreMatrix(
        tuple(row[0] for row in rows), tuple(sources), np.array(scores, np.float64)
    )


def _place(names: Sequence[str], name: str, what: str) -> int:
    known = [one.lower() for one in names]
    if name.lower() not in known:
        raise ValueError(
            f"no {what} {quoted(name)} in the matrix, which has {', '.join(names)}"
        )
    return known.index(name.lower())
