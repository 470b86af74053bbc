"""predictions.jsonl: every row that a run was scored on, and what was answered."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.read.files import read_jsonl, read_lines
from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.results.answers import Answered
from jaxprompt.runs.keep.workdir import PREDICTIONS
from jaxprompt.screen.quoting import quoted, quoted_path

_FIELDS = dict.fromkeys(("task", "place", "text", "expected"), str)
_FIELDS |= dict.fromkeys(("predicted", "right", "seeds"), list)


def write_predictions(file: Path, answered: Sequence[Answered]) -> Path:
    """Writes the file: a JSON object for each row.

    Its "predicted" lists the answers of all prompts, "right" which of them are right,
    and "seeds" the prompts' seeds; a model's own answer has the run's seed.

    Args:
        file: The file; an existing one is replaced.
        answered: The rows of each task.

    Returns:
        The file.
    """
    lines = []
    for one in answered:
        rows = zip(
            one.places,
            one.inputs,
            one.expected,
            zip(*one.predicted, strict=True),
            zip(*one.right, strict=True),
            strict=True,
        )
        for place, text, expected, given, right in rows:
            row = {
                "task": one.task,
                "place": place,
                "text": text,
                "expected": expected,
                "predicted": given,
                "right": right,
                "seeds": list(one.seeds),
            }
            lines.append(json.dumps(row, ensure_ascii=False))
    write_atomically(file, "".join(f"{line}\n" for line in lines).encode())
    return file


def read_predictions(name: str | Path) -> dict[str, Answered]:
    """Reads the file of a run.

    Args:
        name: The folder of a run, or the file itself.

    Returns:
        Task -> its rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not one that a run writes.
    """
    path = Path(name)
    file = path / PREDICTIONS if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"no {PREDICTIONS} at {quoted_path(path)}: name the folder of a finished "
            "run, of this version or a later one"
        )
    rows: dict[str, list[dict[str, Any]]] = {}
    for where, fields in read_jsonl(read_lines(file), file):
        for field, kind in _FIELDS.items():
            if not isinstance(fields.get(field), kind):
                raise ValueError(
                    f"{where}: {field} is {quoted(fields.get(field))}: name the "
                    f"{PREDICTIONS} of a run"
                )
        rows.setdefault(fields["task"], []).append(fields)
    return {task: _answered(file, task, found) for task, found in rows.items()}


def _answered(file: Path, task: str, rows: Sequence[dict[str, Any]]) -> Answered:
    seeds = rows[0]["seeds"]
    for row in rows:
        sizes = {len(row["predicted"]), len(row["right"])}
        if not seeds or row["seeds"] != seeds or sizes != {len(seeds)}:
            raise ValueError(
                f"{quoted_path(file)}: the rows of task {quoted(task)} have answers of "
                "different prompts: the file is damaged"
            )
    return Answered(
        task,
        *([row[name] for row in rows] for name in ("place", "text", "expected")),
        predicted=list(zip(*(row["predicted"] for row in rows), strict=True)),
        right=list(zip(*(row["right"] for row in rows), strict=True)),
        seeds=seeds,
    )
