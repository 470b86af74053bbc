"""The curves of a run: metrics.jsonl, and the same numbers for TensorBoard."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from jaxprompt.atomic import write_atomically


class MetricLog:
    """Writes scalars by step to WORKDIR/metrics.jsonl and to TensorBoard files.

    A resumed run starts where its checkpoint is: later lines are dropped first, so
    that no step is told twice.
    """

    def __init__(self, workdir: Path, first_step: int):
        # Imported here: clu brings TensorFlow, which nothing else in training needs.
        from clu import metric_writers

        path = workdir / "metrics.jsonl"
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if _whole(line)]
            kept = [line for line in lines if json.loads(line)["step"] <= first_step]
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())
        self._lines = path.open("a", encoding="utf-8")
        self._board = metric_writers.SummaryWriter(str(workdir / "tensorboard"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one line, and flushes it.

        Args:
            step: Steps taken.
            scalars: Values by name; one that is not finite is written as null.
        """
        finite = {
            name: value if math.isfinite(value) else None
            for name, value in scalars.items()
        }
        self._lines.write(json.dumps({"step": step, **finite}) + "\n")
        self._lines.flush()
        self._board.write_scalars(step, scalars)

    def close(self) -> None:
        """Flushes and closes both files."""
        self._lines.close()
        self._board.close()


def _whole(line: str) -> bool:
    """Whether a line was written to its end: the last one of a killed run may not."""
    return line.startswith("{") and line.endswith("}")
