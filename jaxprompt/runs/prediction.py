"""Answering rows that have no labels: with a prompt file, or each row with its own."""

import contextlib
import functools
import io
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.config import LOSS, Run
from jaxprompt.data.read.answered import TABLES, check_writable, write_answers
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.requests import check_request, read_requests
from jaxprompt.data.tasks.task import Task
from jaxprompt.files.atomic import open_atomically
from jaxprompt.files.strict_json import as_json, printable_json
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.runs.answering import (
    CANDIDATE,
    CANDIDATES,
    PROBABILITIES,
    PROBABILITY,
    Answerer,
    by_label_scores,
    check_top_k,
    make_answering,
)
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.runs.ready.opening import answering_line
from jaxprompt.runs.ready.prepare import (
    check_has_task,
    check_head,
    mesh_of,
)
from jaxprompt.runs.ready.together import answer_settings, check_together
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.terminal import say

PROMPT_FIELD = "prompt"
"""Where a row says which of several prompts answers it, unless told otherwise."""

ANSWER_FIELD = "prediction"
"""Where its answer stands, unless told otherwise."""

BLOCK = 4096
"""Rows that are in memory at once: read, answered and written together."""


def predict(
    runs: Mapping[Path, Run],
    *,
    source: str = "-",
    output: str = "-",
    prompt_field: str | None = None,
    answer_field: str = ANSWER_FIELD,
    scores: bool = False,
    top_k: int = 0,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Answers rows: each comes back, in order, with its answer added.

    Rows that want different prompts share batches, and one compiled program, unless
    they are ranked by label words that differ. A file is read twice, first to check
    every row before the model is loaded; it is never in memory whole, and neither are
    the answers. Rows of standard input are checked and answered block by block.

    Args:
        runs: Prompt files, and of each its model, task and method: what the file says,
            or a change of it. With several, a row names its own by the file's name
            without its ending.
        source: File of rows with the task's fields, labels not needed, or with
            "inputs" alone, as `data.rows.requests.read_requests` reads it; "-" for JSON
            lines from standard input.
        output: File to write: a table if it ends in .csv or .tsv, else JSON lines; "-"
            for JSON lines on standard output.
        prompt_field: The field in which a row names its prompt, which the task then
            does not see. None takes "prompt" where there are several prompts, and no
            field where there is one: its rows may have a field "prompt" like any other.
        answer_field: The field that gets the answer; no row may have it.
        scores: Whether answers say how likely they are: where labels are ranked, or a
            head scores them, a field "probabilities" has that of each label, and of
            tags that of the chosen one of each word, of an answer that stands in a text
            that of the best ones; a decoded answer has a field
            "probability", that the model writes it and then ends.
        top_k: How many answers a field "candidates" has, the likeliest first, each with
            its probability: labels, or what beam search finds; 0 for no such field. In
            a table what is nested has columns as "candidates.0.probability".
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompts were not trained on.

    Raises:
        ValueError: If a row or anything else does not fit, before any device work;
            behind the first block of standard input, when the row is reached.
        FileNotFoundError: If a file is missing.
    """
    target = None if output == "-" else Path(output)
    check_output(target, overwrite)
    _check_runs(runs)
    if prompt_field is None and len(runs) > 1:
        prompt_field = PROMPT_FIELD
    suffix = "" if target is None else target.suffix
    added = _check_scores(runs, suffix, scores, top_k)
    if answer_field.partition(".")[0] in added:
        raise ValueError(
            f"--answer_field {answer_field!r} is what --scores or --top_k adds: name "
            "another field"
        )
    asked = _Asked(
        source,
        prompts=[file.stem for file in runs],
        prompt_field=prompt_field,
        answer_field=answer_field,
        added=added,
        suffix=suffix,
    )
    loaded = {file: load_prompt(file) for file in runs}
    first = next(iter(runs.values()))
    mesh = mesh_of(first, trains=False)
    model = open_model(first.model)
    check_head(first, model)
    tasks = [run.load(run.data.tasks[0], model.vocabulary) for run in runs.values()]
    trained = [provenance for _, provenance in loaded.values()]
    check_prompts(trained, model.backbone, another_backbone=another_backbone)
    checks = [
        functools.partial(check_request, task, longest=run.data.target_length)
        for task, run in zip(tasks, runs.values(), strict=True)
    ]
    count = asked.check(checks)
    config = model.checkpoint.config
    if sys.stderr.isatty():  # Who reads the answers from a pipe is not told.
        names = [file.stem for file in runs]
        say(answering_line(first, config, mesh, names, count), problem=True)
    frozen = model.load(mesh)
    prompts = [prompt for prompt, _ in loaded.values()]
    heads = [load_head(file) for file in runs]
    members = make_answering(frozen, [*runs.values()], tasks, prompts, heads)
    answer = Answerer(members, scores=scores, top_k=top_k)
    columns = _columns(tasks, added, top_k)
    written = changed = 0
    with _open(target) as write, example_bar(count, "predict") as advance:
        for block in asked.blocks(checks):
            numbered = {
                written + place: asked.own(row) for place, row in enumerate(block)
            }
            answered = answer(numbered, [asked.owner(row) for row in block], advance)
            content = write_answers(
                block,
                answered.texts,
                answer_field,
                suffix,
                [_rounded(fields) for fields in answered.more],
                columns=columns,
                header=not written,
            )
            write(content.text)
            written, changed = written + len(block), changed + content.changed
        if not written:
            nothing = write_answers([], [], answer_field, suffix, columns=columns)
            write(nothing.text)
    if target is None:
        return
    say(f"wrote {written} answers to {target}")
    if changed:
        say(
            f"{changed} answers held a tab or a line end, which a .tsv cannot: "
            "there they are spaces, and a .csv or a .jsonl keeps them"
        )


@contextlib.contextmanager
def _open(target: Path | None) -> Iterator[Callable[[str], object]]:
    """Opens what answers are written to: a file, whole at the end, or the terminal."""
    if target is not None:
        with open_atomically(target) as file:
            yield lambda text: file.write(text.encode())
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # Whatever the terminal's is.

    def show(text: str) -> None:
        sys.stdout.write(printable_json(text))
        sys.stdout.flush()

    yield show


_Check = Callable[[Row, int], None]
"""Raises ValueError unless a row, whose number it is told, fits a prompt."""


class _Asked:
    """The rows that are to be answered: read in blocks, each row checked once.

    Args:
        source: As of `predict`.
        prompts: The prompts' names.
        prompt_field: The field in which a row names its own; None for none.
        answer_field: The field that gets the answer.
        added: Other fields that an answer adds.
        suffix: Ending of the file that the answers go to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row of the first block does not fit these; names file and line.
    """

    def __init__(
        self,
        source: str,
        *,
        prompts: Sequence[str],
        prompt_field: str | None,
        answer_field: str,
        added: Sequence[str],
        suffix: str,
    ):
        self._source, self._suffix = source, suffix
        self._prompt_field, self._answer_field = prompt_field, answer_field
        self._added = added
        self._places = {name: place for place, name in enumerate(prompts)}
        self._rest = read_requests(source)
        self._block = list(itertools.islice(self._rest, BLOCK))
        if not self._block and source != "-" and Path(source).suffix in TABLES:
            raise ValueError(f"{source}: no rows: the file is empty")
        for row in self._block:
            self._check_fields(row)

    def check(self, checks: Sequence[_Check]) -> int | None:
        """Checks the first block, and all others of a file.

        Args:
            checks: Of the rows of each prompt.

        Returns:
            How many rows there are; None where only reading them would tell.

        Raises:
            ValueError: If a row does not fit; names file and line.
        """
        for number, row in enumerate(self._block):
            checks[self.owner(row)](self.own(row), number)
        count = len(self._block)
        if count < BLOCK:
            return count
        if self._source == "-":
            return None
        for row in self._rest:
            self._check_fields(row)
            checks[self.owner(row)](self.own(row), count)
            count += 1
        self._rest = itertools.islice(read_requests(self._source), BLOCK, None)
        return count

    def blocks(self, checks: Sequence[_Check]) -> Iterator[list[Row]]:
        """Yields the rows in order; those of standard input are checked meanwhile."""
        block, done = self._block, 0
        while block:
            yield block
            done += len(block)
            block = list(itertools.islice(self._rest, BLOCK))
            if self._source != "-":
                continue
            for number, row in enumerate(block, start=done):
                self._check_fields(row)
                checks[self.owner(row)](self.own(row), number)

    def owner(self, row: Row) -> int:
        """Returns the number of the row's prompt."""
        if self._prompt_field is None:
            return 0
        name = row.fields.get(self._prompt_field)
        if not isinstance(name, str) or name not in self._places:
            raise ValueError(
                f"{row.where}: {self._prompt_field} is {as_json(name)}: each row names "
                f"its prompt, one of {', '.join(self._places)}; --prompt_field says "
                "where"
            )
        return self._places[name]

    def own(self, row: Row) -> Row:
        """Returns a row as its task sees it: without the name of its prompt."""
        kept = {k: value for k, value in row.fields.items() if k != self._prompt_field}
        return row._replace(fields=kept)

    def _check_fields(self, row: Row) -> None:
        if self._answer_field in row.fields:
            raise ValueError(
                f"{row.where}: it has a field {self._answer_field!r} already, which "
                "the answer would replace: name another for the answer by "
                "--answer_field"
            )
        for field in row.fields:
            if field.partition(".")[0] in self._added:
                raise ValueError(
                    f"{row.where}: it has a field {field!r} already, which --scores or "
                    "--top_k would replace: give it another name"
                )
        check_writable(row, self._block[0], self._suffix)
        self.owner(row)


def _check_runs(runs: Mapping[Path, Run]) -> None:
    """Raises ValueError unless the runs answer, with one model and in one way."""
    first = next(iter(runs.values()))
    if first.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as "
            "--gin.METHOD=\"'greedy'\""
        )
    names = [file.stem for file in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two prompts are called {', '.join(twice)}: rows cannot tell them apart,"
            " so rename a file"
        )
    for run in runs.values():
        check_has_task(run)
    check_together({file: answer_settings(run) for file, run in runs.items()})


def _check_scores(
    runs: Mapping[Path, Run], suffix: str, scores: bool, top_k: int
) -> list[str]:
    """Raises ValueError where there are no such scores, or no room for them.

    Returns:
        The fields that an answer gets beside itself.
    """
    (run, *_) = runs.values()  # All answer in one way.
    check_top_k(run, top_k)
    if scores and run.head.kind in ("tags", "spans") and suffix in TABLES:
        raise ValueError(
            f"--scores of {run.head.kind}, of which each row has its own, are no "
            f"column of a {suffix}: write a .jsonl, or leave them out"
        )
    beside = PROBABILITIES if by_label_scores(run) else PROBABILITY
    return [*([beside] if scores else []), *([CANDIDATES] if top_k else [])]


def _columns(tasks: Sequence[Task], added: Sequence[str], top_k: int) -> list[str]:
    """Names the columns of a table that hold these fields."""
    labels = dict.fromkeys(label for task in tasks for label in task.row_labels)
    found = []
    if PROBABILITIES in added:
        found += [f"{PROBABILITIES}.{label}" for label in labels]
    if PROBABILITY in added:
        found.append(PROBABILITY)
    found += [
        f"{CANDIDATES}.{number}.{field}"
        for number in range(top_k)
        for field in (CANDIDATE, PROBABILITY)
    ]
    return found


def _rounded(value: Any) -> Any:
    """Returns fields with numbers of six significant digits, at any depth."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
