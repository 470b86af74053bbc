"""Answering rows that have no labels: with a prompt file, or each row with its own."""

import collections
import dataclasses
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.atomic import write_atomically
from jaxprompt.config import LOSS, Run
from jaxprompt.data.requests import read_jsonl, request_rows
from jaxprompt.data.rows import join_members, predict_rows, sorted_batches
from jaxprompt.data.task import Task
from jaxprompt.models.gpt2 import GPT2
from jaxprompt.prompts.file import Provenance, load_prompt
from jaxprompt.prompts.prompt import Prompt, lengthen, stack
from jaxprompt.quoting import quoted_path
from jaxprompt.report.bar import example_bar
from jaxprompt.runs.output import check_output
from jaxprompt.runs.prepare import Ready, prepare
from jaxprompt.strict_json import printable_json
from jaxprompt.terminal import say

PROMPT_FIELD = "prompt"
"""Where a row says which of several prompts answers it."""

ANSWER_FIELD = "prediction"
"""Where its answer stands."""


class Member(NamedTuple):
    """A prompt that answers rows.

    Attributes:
        run: What it was trained with.
        task: Its task.
        prompt: The prompt.
        provenance: Where it comes from.
    """

    run: Run
    task: Task
    prompt: Prompt
    provenance: Provenance


def predict(
    runs: Mapping[Path, Run],
    *,
    source: str = "-",
    output: str = "-",
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Answers JSONL rows: each comes back, in order, with a "prediction" added.

    Rows that want different prompts share batches, and one compiled program, unless
    they are ranked by label words that differ.

    Args:
        runs: Prompt files, and of each its model, task and method: what the file says,
            or a change of it. With several, a row names its own in the field "prompt",
            by the file's name without its ending.
        source: JSONL file of rows with the task's fields, labels not needed, or with
            "inputs" alone; "-" for standard input.
        output: JSONL file to write; "-" for standard output.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompts were not trained on.

    Raises:
        ValueError: If a row or anything else does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    target = None if output == "-" else Path(output)
    check_output(target, overwrite)
    _check_runs(runs)
    rows = _read_rows(source)
    where = "standard input" if source == "-" else source
    owners = _owners(rows, list(runs), where)
    loaded = {file: load_prompt(file) for file in runs}
    first = next(iter(runs.values()))
    ready = prepare(
        first,
        trained=[provenance for _, provenance in loaded.values()],
        another_backbone=another_backbone,
    )
    lengths = {prompt.length for prompt, _ in loaded.values()}
    if isinstance(ready.backbone, GPT2) and len(lengths) > 1:
        # A bank's prefixes have one length; as tokens in rows, prompts have their own.
        unfolded = dataclasses.replace(ready.backbone, folds=False)
        ready = dataclasses.replace(ready, backbone=unfolded)
    vocabulary = ready.task.vocabulary
    members = [
        Member(run, run.data.tasks[0].load(vocabulary), *loaded[file])
        for file, run in runs.items()
    ]
    texts = _answer(ready, members, rows, owners, where)
    lines = [
        json.dumps({**row, ANSWER_FIELD: text}, ensure_ascii=False) + "\n"
        for row, text in zip(rows, texts, strict=True)
    ]
    if target is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # Whatever the terminal's is.
        sys.stdout.writelines(map(printable_json, lines))
    else:
        write_atomically(target, "".join(lines).encode())
        say(f"wrote {len(lines)} answers to {target}")


def _answer(
    ready: Ready,
    members: Sequence[Member],
    rows: Sequence[Mapping[str, Any]],
    owners: Sequence[int],
    where: str,
) -> list[str]:
    """Answers each row behind its member's prompt; returns the texts in order."""
    longest = max(member.prompt.length for member in members)
    params = ready.join(stack([lengthen(m.prompt, longest) for m in members]))
    numbers_of: dict[int, list[int]] = collections.defaultdict(list)
    for number, owner in enumerate(owners):
        numbers_of[owner].append(number)
    # Only ranking needs a program of its own, for each set of label words.
    shared: dict[Callable[..., np.ndarray], list[int]] = collections.defaultdict(list)
    seeds = [member.run.seed for member in members]
    for owner in numbers_of:
        shared[ready.predict(members[owner].task, seeds)].append(owner)
    texts = [""] * len(rows)
    features = {
        owner: _tokenise(
            ready,
            members[owner],
            rows,
            numbers,
            where,
            several=len(members) > 1,
        )
        for owner, numbers in numbers_of.items()
    }
    with example_bar(len(rows), "predict") as advance:
        for answer, together in shared.items():
            joined = join_members([(owner, features[owner]) for owner in together])
            numbers = [n for owner in together for n in numbers_of[owner]]
            batches = sorted_batches(joined, ready.run.evaluation.batch_size)
            ids = predict_rows(
                lambda batch, answer=answer: answer(params, batch),
                batches,
                len(numbers),
                advance,
            )
            task = members[together[0]].task
            for number, text in zip(numbers, task.decode(ids), strict=True):
                texts[number] = text
    return texts


def _tokenise(
    ready: Ready,
    member: Member,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    where: str,
    several: bool,
) -> dict[str, np.ndarray]:
    """Tokenises a member's rows behind its soft tokens."""
    lengths = dataclasses.replace(ready.lengths, inputs=member.run.data.input_length)
    soft_ids = ready.soft_ids(member.prompt.length)
    own = {number + 1: dict(rows[number]) for number in numbers}
    if several:
        for row in own.values():
            del row[PROMPT_FIELD]
    return request_rows(member.task, own, lengths, soft_ids, where)


def _check_runs(runs: Mapping[Path, Run]) -> None:
    """Raises ValueError unless the runs answer, with one model and in one way."""
    first_file, first = next(iter(runs.items()))
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
    for file, run in runs.items():
        for part, there, here in (
            ("model", first.model, run.model),
            ("evaluation", first.evaluation, run.evaluation),
            ("target_length", first.data.target_length, run.data.target_length),
        ):
            if there != here:
                raise ValueError(
                    f"{first_file} and {file} do not run together: {part} is {there} "
                    f"and {here}; set it for both, as --gin.METHOD=\"'greedy'\""
                )


def _owners(
    rows: Sequence[Mapping[str, Any]], files: list[Path], where: str
) -> list[int]:
    """Returns the number of each row's prompt."""
    if len(files) == 1:
        return [0] * len(rows)
    places = {file.stem: place for place, file in enumerate(files)}
    owners = []
    for line, row in enumerate(rows, start=1):
        name = row.get(PROMPT_FIELD)
        if name not in places:
            raise ValueError(
                f"{where}:{line}: {PROMPT_FIELD} is {name!r}: of several prompts each "
                f"row names its own, one of {', '.join(places)}"
            )
        owners.append(places[name])
    return owners


def _read_rows(source: str) -> list[dict[str, Any]]:
    rows = _all_rows(source)
    for line, row in enumerate(rows, start=1):
        if ANSWER_FIELD in row:
            raise ValueError(
                f"{source}:{line}: it has a field {ANSWER_FIELD!r} already, which the "
                "answer would replace: give it another name"
            )
    return rows


def _all_rows(source: str) -> list[dict[str, Any]]:
    if source == "-":
        return list(read_jsonl(sys.stdin, "standard input"))
    if not Path(source).is_file():
        raise FileNotFoundError(f"no input file {quoted_path(source)}: check the path")
    with Path(source).open(encoding="utf-8") as file:
        return list(read_jsonl(file, source))
