"""Answering rows that have no labels: with a prompt file, or each row with its own."""

import contextlib
import io
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from jaxprompt.atomic import open_atomically
from jaxprompt.config import LOSS, WORDS, Run
from jaxprompt.data.read.answered import TABLES, check_writable, write_answers
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.requests import check_request, read_requests
from jaxprompt.data.tasks.task import Task
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.runs.answering import PROBABILITIES, Answerer, Answering
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import (
    check_has_task,
    check_head,
    check_slots,
    may_fold,
    mesh_of,
)
from jaxprompt.runs.ready.together import answer_settings, check_together
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.strict_json import as_json, printable_json
from jaxprompt.terminal import say

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
    probabilities: bool = False,
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
        probabilities: Whether a field "probabilities" says how likely each label is;
            of tags, the chosen one of each word. For heads of labels and JSON lines.
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
    if probabilities:
        _check_probabilities(runs, suffix)
    asked = _Asked(
        source,
        prompts=[file.stem for file in runs],
        prompt_field=prompt_field,
        answer_fields=[answer_field, *([PROBABILITIES] if probabilities else [])],
        suffix=suffix,
    )
    loaded = {file: load_prompt(file) for file in runs}
    first = next(iter(runs.values()))
    mesh = mesh_of(first, trains=False)
    model = open_model(first.model)
    check_head(first, model)
    tasks = [
        run.data.tasks[0].load(model.vocabulary).put_to(run.head.kind)
        for run in runs.values()
    ]
    trained = [provenance for _, provenance in loaded.values()]
    check_prompts(trained, model.backbone, another_backbone=another_backbone)
    count = asked.check(tasks)
    frozen = model.load(mesh)
    prompts = [prompt for prompt, _ in loaded.values()]
    for task, prompt in zip(tasks, prompts, strict=True):
        check_slots(task, [prompt.length])
    has_deep = any(prompt.deep for prompt in prompts)
    if has_deep or not all(may_fold(run) for run in runs.values()):
        frozen = frozen.unfolded()
    members = [
        Answering(Job(frozen, run, (task,)), prompt, load_head(file))
        for (file, run), task, prompt in zip(runs.items(), tasks, prompts, strict=True)
    ]
    answer = Answerer(members, probabilities=probabilities)
    written = changed = 0
    with _open(target) as write, example_bar(count, "predict") as advance:
        for block in asked.blocks(tasks):
            numbered = {
                written + place: asked.own(row) for place, row in enumerate(block)
            }
            answered = answer(numbered, [asked.owner(row) for row in block], advance)
            content = write_answers(
                block,
                answered.texts,
                answer_field,
                suffix,
                answered.more,
                header=not written,
            )
            write(content.text)
            written, changed = written + len(block), changed + content.changed
        if not written:
            write(write_answers([], [], answer_field, suffix).text)
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


class _Asked:
    """The rows that are to be answered: read in blocks, each row checked once.

    Args:
        source: As of `predict`.
        prompts: The prompts' names.
        prompt_field: The field in which a row names its own; None for none.
        answer_fields: Fields that an answer adds.
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
        answer_fields: Sequence[str],
        suffix: str,
    ):
        self._source, self._suffix = source, suffix
        self._prompt_field, self._answer_fields = prompt_field, answer_fields
        self._places = {name: place for place, name in enumerate(prompts)}
        self._rest = read_requests(source)
        self._block = list(itertools.islice(self._rest, BLOCK))
        if not self._block and source != "-" and Path(source).suffix in TABLES:
            raise ValueError(f"{source}: no rows: the file is empty")
        for row in self._block:
            self._check_fields(row)

    def check(self, tasks: Sequence[Task]) -> int | None:
        """Checks the first block, and all others of a file.

        Args:
            tasks: Of each prompt.

        Returns:
            How many rows there are; None where only reading them would tell.

        Raises:
            ValueError: If a row does not fit; names file and line.
        """
        for number, row in enumerate(self._block):
            check_request(tasks[self.owner(row)], self.own(row), number)
        count = len(self._block)
        if count < BLOCK:
            return count
        if self._source == "-":
            return None
        for row in self._rest:
            self._check_fields(row)
            check_request(tasks[self.owner(row)], self.own(row), count)
            count += 1
        self._rest = itertools.islice(read_requests(self._source), BLOCK, None)
        return count

    def blocks(self, tasks: Sequence[Task]) -> Iterator[list[Row]]:
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
                check_request(tasks[self.owner(row)], self.own(row), number)

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
        for field in self._answer_fields:
            if field in row.fields:
                raise ValueError(
                    f"{row.where}: it has a field {field!r} already, which the answer "
                    "would replace: name another for the answer by --answer_field"
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


def _check_probabilities(runs: Mapping[Path, Run], suffix: str) -> None:
    """Raises ValueError where there are no probabilities, or no room for them."""
    for file, run in runs.items():
        if run.head.kind == WORDS:
            raise ValueError(
                f"--probabilities, but {file} answers in words, not by a head of "
                "labels: leave it out"
            )
    if suffix in TABLES:
        raise ValueError(
            f"--probabilities are no cell of a {suffix}: write a .jsonl, or leave it "
            "out"
        )
