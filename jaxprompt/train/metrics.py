"""The curves of a run: metrics.jsonl, and the same numbers for TensorBoard."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType

from jaxprompt.atomic import write_atomically
from jaxprompt.quoting import quoted
from jaxprompt.strict_json import NotJson, as_json, parse_json
from jaxprompt.train.event_files import EventFile, cut_event_files
from jaxprompt.utf8 import NotUtf8, decode_utf8


class MetricLog:
    """Writes scalars by step to WORKDIR/metrics.jsonl and to TensorBoard files.

    A resumed run starts where its checkpoint is: what was told of later steps is
    dropped first, in both, so that no step is told twice.
    """

    def __init__(self, workdir: Path, first_step: int):
        path = workdir / "metrics.jsonl"
        if path.exists():
            kept = [
                json.dumps({"step": step, **scalars})
                for step, scalars in read_log(path, whole=False)
                if step <= first_step
            ]
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())
        board = workdir / "tensorboard"
        board.mkdir(exist_ok=True)
        cut_event_files(board, first_step)
        self._lines = path.open("a", encoding="utf-8")
        self._board = EventFile(board)

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
        self._board.write(step, scalars)

    def sync(self) -> None:
        """Returns when all that was written is on disk, where a crash leaves it."""
        os.fsync(self._lines.fileno())
        self._board.sync()

    def close(self) -> None:
        """Flushes and closes both files."""
        self._lines.close()
        self._board.close()


def read_log(
    path: Path, *, whole: bool = True
) -> Iterator[tuple[int, dict[str, float | None]]]:
    """Reads what a run has logged.

    Args:
        path: Its metrics.jsonl.
        whole: Whether the last line must be whole: that of a killed run may not be,
            and is left out.

    Yields:
        Steps taken, and the scalars after them by name; None was not finite.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no line of such a log; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no log {path}: name the metrics.jsonl of a run")
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        if last and (not line or not (whole or line.endswith(b"}"))):
            return
        try:
            scalars = parse_json(decode_utf8(line))
        except (NotUtf8, NotJson) as err:
            raise _no_line(path, number, err.reason) from err
        if not isinstance(scalars, dict):
            raise _no_line(path, number, f"a JSON {type(scalars).__name__}")
        step = scalars.pop("step", None)
        if type(step) is not int:
            raise _no_line(path, number, f"step is {as_json(step)}")
        for name, value in scalars.items():
            if type(value) not in (int, float, NoneType):
                raise _no_line(path, number, f"{quoted(name)} is {as_json(value)}")
        yield step, scalars


def _no_line(path: Path, number: int, reason: str) -> ValueError:
    return ValueError(
        f"{path}:{number}: not a JSON object with a step and numbers ({reason}): name "
        "the metrics.jsonl of a run, or delete it, and the run has no curves"
    )
