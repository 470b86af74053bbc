"""Answering rows that have no labels: with a prompt file, or each row with its own."""

import collections
import functools
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.atomic import write_atomically
from jaxprompt.config import LOSS, WORDS, Run
from jaxprompt.data.read.answered import TABLES, check_writable, write_answers
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.requests import read_requests, request_rows
from jaxprompt.data.rows.row_batches import join_members, predict_rows, sorted_batches
from jaxprompt.evaluate.score import Predict
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.prompts.prompt import Prompt, lengthen, stack
from jaxprompt.prompts.trained import join_heads
from jaxprompt.report.text.bar import example_bar
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
from jaxprompt.shapes import Batch, Params
from jaxprompt.strict_json import as_json, printable_json
from jaxprompt.terminal import say

PROMPT_FIELD = "prompt"
"""Where a row says which of several prompts answers it, unless told otherwise."""

ANSWER_FIELD = "prediction"
"""Where its answer stands, unless told otherwise."""

PROBABILITIES = "probabilities"
"""Where it stands how likely each label is, if that is asked for."""


class Answering(NamedTuple):
    """A prompt that answers rows.

    Attributes:
        job: Its run and its task, on the model that all share.
        prompt: The prompt.
        head: The weights of its head; {} for words.
    """

    job: Job
    prompt: Prompt
    head: Params


class _Answers(NamedTuple):
    """The answer of each row, and what stands beside it."""

    texts: list[str]
    more: list[dict[str, Any]] | None


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
    they are ranked by label words that differ.

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
        ValueError: If a row or anything else does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    target = None if output == "-" else Path(output)
    check_output(target, overwrite)
    _check_runs(runs)
    if prompt_field is None and len(runs) > 1:
        prompt_field = PROMPT_FIELD
    rows = read_requests(source)
    _check_answer_field(rows, answer_field)
    suffix = "" if target is None else target.suffix
    if probabilities:
        _check_probabilities(runs, rows, suffix)
    check_writable(rows, suffix)
    owners = _owners(rows, list(runs), prompt_field)
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
    asked = [_without(row, prompt_field) for row in rows]
    answers = _answer(members, asked, owners, probabilities=probabilities)
    written = write_answers(rows, answers.texts, answer_field, suffix, answers.more)
    if target is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # Whatever the terminal's is.
        sys.stdout.write(printable_json(written.text))
        return
    write_atomically(target, written.text.encode())
    say(f"wrote {len(rows)} answers to {target}")
    if written.changed:
        say(
            f"{written.changed} answers held a tab or a line end, which a .tsv cannot: "
            "there they are spaces, and a .csv or a .jsonl keeps them"
        )


def _answer(
    members: Sequence[Answering],
    rows: Sequence[Row],
    owners: Sequence[int],
    *,
    probabilities: bool = False,
) -> _Answers:
    """Answers each row behind its member's prompt, in order."""
    job = members[0].job
    longest = max(member.prompt.length for member in members)
    params = job.frozen.join(
        stack([lengthen(member.prompt, longest) for member in members]),
        join_heads([member.head for member in members]),
    )
    numbers_of: dict[int, list[int]] = collections.defaultdict(list)
    for number, owner in enumerate(owners):
        numbers_of[owner].append(number)
    # Only ranking needs a program of its own, for each set of label words.
    shared: dict[Predict, list[int]] = collections.defaultdict(list)
    seeds = [member.job.run.seed for member in members]
    for owner in numbers_of:
        shared[job.predict(members[owner].job.task, seeds)].append(owner)
    texts = [""] * len(rows)
    more: list[dict[str, Any]] = [{}] * len(rows)
    features = {
        owner: _tokenise(members[owner], {number: rows[number] for number in numbers})
        for owner, numbers in numbers_of.items()
    }
    with example_bar(len(rows), "predict") as advance:
        for answer, together in shared.items():
            joined = join_members([(owner, features[owner]) for owner in together])
            numbers = [n for owner in together for n in numbers_of[owner]]
            size, count = job.run.evaluation.batch_size, len(numbers)
            batches = sorted_batches(joined, size)
            ids = predict_rows(
                functools.partial(answer, params), batches, count, advance
            )
            task = members[together[0]].job.task
            for number, text in zip(numbers, task.decode(ids), strict=True):
                texts[number] = text
            if probabilities:
                measure = functools.partial(job.probabilities, params)
                found = predict_rows(measure, sorted_batches(joined, size), count)
                for number, chosen, likely in zip(numbers, ids, found, strict=True):
                    more[number] = {PROBABILITIES: task.likelihoods(chosen, likely)}
    return _Answers(texts, more if probabilities else None)


def _tokenise(member: Answering, rows: Mapping[int, Row]) -> Batch:
    """Tokenises a member's rows, by their numbers, behind its soft tokens."""
    job = member.job
    soft_ids = job.frozen.soft_ids(member.prompt.length)
    return request_rows(job.task, rows, job.lengths, soft_ids)


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


def _owners(
    rows: Sequence[Row], files: list[Path], prompt_field: str | None
) -> list[int]:
    """Returns the number of each row's prompt."""
    if prompt_field is None:
        return [0] * len(rows)
    places = {file.stem: place for place, file in enumerate(files)}
    owners = []
    for row in rows:
        name = row.fields.get(prompt_field)
        if not isinstance(name, str) or name not in places:
            raise ValueError(
                f"{row.where}: {prompt_field} is {as_json(name)}: each row names its "
                f"prompt, one of {', '.join(places)}; --prompt_field says where"
            )
        owners.append(places[name])
    return owners


def _without(row: Row, field: str | None) -> Row:
    """Returns a row as its task sees it: without the name of its prompt."""
    kept = {name: value for name, value in row.fields.items() if name != field}
    return row._replace(fields=kept)


def _check_probabilities(
    runs: Mapping[Path, Run], rows: Sequence[Row], suffix: str
) -> None:
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
    _check_answer_field(rows, PROBABILITIES)


def _check_answer_field(rows: Sequence[Row], field: str) -> None:
    for row in rows:
        if field in row.fields:
            raise ValueError(
                f"{row.where}: it has a field {field!r} already, which the answer "
                "would replace: name another for the answer by --answer_field"
            )
