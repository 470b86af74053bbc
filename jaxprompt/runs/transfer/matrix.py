"""Scoring every prompt on every task: what is known already is not scored again."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprompt.config import LOSS, Run
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.json_file import read_json_object
from jaxprompt.prompts.file import load_head, write_prompt
from jaxprompt.prompts.prompt import Prompt, stack
from jaxprompt.prompts.trained import join_heads
from jaxprompt.report.pages.transfer_page import (
    MatrixFacts,
    mean_cells,
    write_transfer_page,
)
from jaxprompt.report.plots.heatmap import write_heatmap
from jaxprompt.report.text.bar import example_bar
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import write_json
from jaxprompt.runs.measure.chance import margin_above
from jaxprompt.runs.ready.frozen import Frozen, open_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import (
    check_files,
    check_has_task,
    check_head,
    check_slots,
    may_fold,
    mesh_of,
)
from jaxprompt.runs.ready.together import (
    answer_settings,
    check_together,
    score_settings,
    task_settings,
)
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.quoting import quoted
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.shapes import Batch, Params
from jaxprompt.transfer.answering import (
    LabelWords,
    draw_like,
    label_words,
    make_fill,
    make_rank,
    pad_labels,
)
from jaxprompt.transfer.matrix import RANDOM, ScoreMatrix
from jaxprompt.transfer.named import NamedPrompts, check_alike, read_named

KNOWN = "scores.json"
"""What a folder of a matrix holds of each pair, so that it is scored once."""

FILES = {
    "matrix.csv": "scores",
    "relative.csv": "relative",
    "above_chance.csv": "above_chance",
}

PAGE, PLOT = "report.html", "heatmap.png"

RANDOM_FILE = "random.safetensors"
"""The prompt of the random column: drawn once, so that the column stays what it is."""


class _Target(NamedTuple):
    """A task that prompts are scored on."""

    name: str
    run: Run
    task: Task
    split: str
    identity: str


def score_matrix(
    runs: Mapping[Path, Run],
    others: Sequence[Run] = (),
    *,
    output: Path,
    random: bool = True,
    split: str | None = None,
    another_backbone: bool = False,
) -> ScoreMatrix:
    """Scores every prompt on every task, in shared batches.

    The folder then holds matrix.csv (prompts across, tasks down), relative.csv,
    above_chance.csv, heatmap.png, report.html, scores.json and the random column's
    prompt, random.safetensors. A pair that it holds already is not scored again, and
    every task is kept when it is done: a killed command goes on, and another prompt or
    task adds its column or row.

    Where the answers are a head's, every prompt is scored behind it with the head of
    the task's own prompt: a head belongs to a task.

    Args:
        runs: Prompt files, of one length and for one model, and the run of each: its
            task is scored too.
        others: Runs of further tasks.
        output: The folder; made if needed.
        random: Whether a prompt that was never trained has a column.
        split: Split to score; None for each run's own.
        another_backbone: Allows a model that the prompts were not trained on.

    Returns:
        The scores, on the metrics' own scale.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    files = list(runs)
    prompts = read_named(files)
    all_runs = [*runs.values(), *others]
    first = all_runs[0]
    _check_runs(files, all_runs)
    mesh = mesh_of(first, trains=False)
    model = open_model(first.model)
    check_head(first, model)
    trained = [said for said in prompts.provenances if said is not None]
    check_prompts(trained, model.backbone, another_backbone=another_backbone)
    known = _read_known(output)
    targets = _targets(all_runs, model.vocabulary, split, model.backbone.fingerprint)
    heads = _heads(targets, prompts)
    for target in targets:
        check_slots(target.task, [prompts.prompts[0].length])
    bank = list(prompts.prompts)
    columns = dict(zip(prompts.names, map(_digest, prompts.files), strict=True))
    if random:
        bank.append(_random_prompt(output, prompts))
        columns[RANDOM] = _digest(output / RANDOM_FILE)
    missing = [
        (target, [name for name, digest in columns.items() if digest not in row])
        for target in targets
        for row in [known.get(target.identity, {}).get("scores", {})]
    ]
    if any(names for _, names in missing):
        frozen = model.load(mesh)
        if prompts.prompts[0].deep or not all(map(may_fold, all_runs)):
            frozen = frozen.unfolded()
        scorer = _Scorer(frozen, bank, targets, heads)
        _score_missing(scorer, missing, columns, known, output)
    rows = [known[target.identity] for target in targets]
    matrix = ScoreMatrix(
        tuple(target.name for target in targets),
        tuple(columns),
        np.array([[row["scores"][d] for d in columns.values()] for row in rows]),
        (*(said.task if said else "" for said in prompts.provenances), *[""] * random),
    )
    _write(output, matrix, rows, prompts)
    return matrix


class _Found(NamedTuple):
    """What a task gives: scores of members, and facts of the split."""

    scores: list[float]
    facts: dict[str, Any]


class _Scorer:
    """Scores members of a bank on tasks, by one program for all of them."""

    def __init__(
        self,
        frozen: Frozen,
        bank: Sequence[Prompt],
        targets: Sequence[_Target],
        heads: Mapping[str, Path],
    ):
        self._frozen, self._length = frozen, bank[0].length
        self._bank = stack(bank)
        self._heads = heads
        # The answers of all tasks come from the first one's programs.
        self._job = Job(frozen, targets[0].run, (targets[0].task,))
        self._label_words = self._labels(targets)

    def score(self, target: _Target, places: Sequence[int]) -> _Found:
        """Scores some members of the bank on a task."""
        job = Job(self._frozen, target.run, (target.task,))
        rows = EvaluationSet(job.sample(target.task, target.split, self._length))
        params = self._frozen.join(self._bank, self._head(target))
        answer = functools.partial(self._answer(target, job), params)
        size = self._job.run.evaluation.batch_size
        total = rows.num_examples * len(places)
        with example_bar(total, f"{target.name} {target.split}") as advance:
            scores = rows.score_members(answer, size, places, advance)
        facts = {
            "split": target.split,
            "examples": rows.num_examples,
            "metric": scores[0].metric,
            "majority": rows.majority().score,
        }
        return _Found([score.score for score in scores], facts)

    def _labels(self, targets: Sequence[_Target]) -> dict[str, LabelWords]:
        """Pads the label words of all tasks that are answered by choosing from them."""
        found: dict[str, LabelWords] = {}
        for target in targets:
            task, length = target.task, target.run.data.target_length
            answers = task.answers
            if answers is not None and answers.word_ids:
                words = answers.word_ids
                ids = [number for of_class in words for number in of_class]
                counts = [len(of_class) for of_class in words]
                found[target.name] = label_words(ids, counts, answers.word_score)
            elif target.run.evaluation.method == "rank" and task.words is not None:
                counts = [len(of_class) for of_class in task.words.words]
                found[target.name] = label_words(
                    list(task.word_ids(length)),
                    counts,
                    task.words.score,
                    list(task.label_ids(length)),
                )
        return dict(zip(found, pad_labels(list(found.values())), strict=True))

    def _answer(self, target: _Target, job: Job) -> Callable[[Params, Batch], Any]:
        words = self._label_words.get(target.name)
        if words is not None:
            program = self._rank if target.task.answers is None else self._fill
            return lambda params, batch: program(params, batch, words)
        seeds = range(self._bank.members)
        answers = target.task.answers
        if answers is None:
            return self._job.predict(self._job.task, seeds)
        # Tasks of one kind and of as many labels share a program.
        owner = self._choosers.setdefault((answers.kind, answers.columns), job)
        return owner.predict(owner.task, seeds)

    @functools.cached_property
    def _rank(self) -> Any:
        return make_rank(self._frozen.backbone, self._frozen.place_batch)

    @functools.cached_property
    def _fill(self) -> Any:
        return make_fill(self._frozen.backbone, self._frozen.place_batch)

    @functools.cached_property
    def _choosers(self) -> dict[tuple[str, int], Job]:
        return {}

    def _head(self, target: _Target) -> Params:
        """Gives every member the head of the task's own prompt; {} for words."""
        file = self._heads.get(target.name)
        return (
            {} if file is None else join_heads([load_head(file)] * self._bank.members)
        )


def _score_missing(
    scorer: _Scorer,
    missing: Sequence[tuple[_Target, Sequence[str]]],
    columns: Mapping[str, str],
    known: dict[str, Any],
    output: Path,
) -> None:
    """Scores the pairs that are not known yet, and keeps each task when it is done.

    Args:
        scorer: Of a bank in the order of the columns.
        missing: Tasks, and the names of the prompts to score on each.
        columns: Name of each prompt -> what identifies it.
        known: Identity of a task -> its row; new scores are added.
        output: The folder of the matrix.
    """
    output.mkdir(parents=True, exist_ok=True)
    places = {name: place for place, name in enumerate(columns)}
    for target, names in missing:
        if not names:
            continue
        found = scorer.score(target, [places[name] for name in names])
        row = known.setdefault(target.identity, {"scores": {}})
        row |= {"task": target.name, **found.facts}
        scored = zip(names, found.scores, strict=True)
        row["scores"] |= {columns[name]: score for name, score in scored}
        write_json(output / KNOWN, known)


def _heads(targets: Sequence[_Target], prompts: NamedPrompts) -> dict[str, Path]:
    """Finds the prompt that brings the head of each task that is answered by one.

    Raises:
        ValueError: If none does.
    """
    found: dict[str, Path] = {}
    for target in targets:
        if not target.run.head.has_weights:
            continue
        pairs = zip(prompts.files, prompts.provenances, strict=True)
        own = [file for file, said in pairs if said and said.task == target.name]
        if not own:
            raise ValueError(
                f"task {quoted(target.name)} is answered by a head of "
                f"{target.run.head.kind}, but no prompt of it is there to bring one: "
                "name its prompt too"
            )
        found[target.name] = own[0]
    return found


def _random_prompt(output: Path, prompts: NamedPrompts) -> Prompt:
    """Reads the prompt of the random column, or draws it and keeps it."""
    path = output / RANDOM_FILE
    if path.exists():
        kept = read_named([path])
        check_alike(prompts, kept)
        return kept.prompts[0]
    drawn = draw_like(jax.random.key(0), stack(prompts.prompts))
    said = next(one for one in prompts.provenances if one is not None)
    output.mkdir(parents=True, exist_ok=True)
    provenance = dataclasses.replace(
        said,
        task=RANDOM,
        score=None,
        step=0,
        seed=0,
        init="random",
        config="",
        source="",
    )
    write_prompt(
        path, drawn, dataclasses.replace(provenance, answering={}, head="words")
    )
    return drawn


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _check_runs(files: Sequence[Path], runs: Sequence[Run]) -> None:
    for run in runs:
        check_has_task(run)
        if run.evaluation.method == LOSS:
            raise ValueError(
                f"method {LOSS!r} gives no answers: use another, as --gin.METHOD=greedy"
            )
    # A task of one's own stands in the place of a file.
    labels = [Path(run.data.task_name) for run in runs[len(files) :]]
    told = dict(zip([*files, *labels], map(answer_settings, runs), strict=True))
    check_together(told)


def _targets(
    runs: Sequence[Run], vocabulary: Any, split: str | None, fingerprint: str
) -> list[_Target]:
    """Loads each task once, and looks for its files."""
    found: dict[str, _Target] = {}
    for run in runs:
        settings, name = run.data.tasks[0], run.data.tasks[0].label
        scored = split or run.data.scored_split
        said = {
            **score_settings(run, scored),
            **task_settings(settings),
            "split": scored,
            "model": fingerprint,
        }
        text = json.dumps(said, sort_keys=True, default=str)
        identity = hashlib.sha256(text.encode()).hexdigest()
        if name in found:
            if found[name].identity != identity:
                raise ValueError(
                    f"two tasks are called {quoted(name)} and are not asked alike: "
                    "give one of them another name, or leave it out"
                )
            continue
        task = run.load(settings, vocabulary)
        check_files([task], [scored])
        task.check_labelled(scored)
        found[name] = _Target(name, run, task, scored, identity)
    return list(found.values())


def _read_known(output: Path) -> dict[str, Any]:
    path = output / KNOWN
    if not path.exists():
        there = [name for name in (*FILES, PLOT, PAGE) if (output / name).exists()]
        if there:
            raise ValueError(
                f"{output} holds {there[0]}, and no scores of a matrix, so that it is "
                "of something else: name a new folder"
            )
        return {}
    fix = "remove it to score every pair again"
    known = read_json_object(path, fix)
    for row in known.values():
        if not isinstance(row, dict) or not isinstance(row.get("scores"), dict):
            raise ValueError(f"{path} holds no scores of a matrix: {fix}")
    return known


def _write(
    output: Path,
    matrix: ScoreMatrix,
    rows: Sequence[Mapping[str, Any]],
    prompts: NamedPrompts,
) -> None:
    """Writes and prints what was found."""
    chance = np.array([row["majority"] for row in rows])
    margin = np.array([_margin(row) for row in rows])
    parts = {
        "scores": matrix.scores,
        "relative": matrix.relative(),
        "above_chance": matrix.above_chance(chance, margin),
    }
    output.mkdir(parents=True, exist_ok=True)
    for file, name in FILES.items():
        text = dataclasses.replace(matrix, scores=parts[name]).to_csv()
        write_atomically(output / file, text.encode())
    write_heatmap(output / PLOT, matrix)
    facts = MatrixFacts(
        matrix=matrix,
        above_chance=parts["above_chance"],
        metrics=[row["metric"] for row in rows],
        examples=[row["examples"] for row in rows],
        chance=chance.tolist(),
        prompts=prompts,
    )
    write_transfer_page(output / PAGE, facts)
    header = ["task", "metric", "rows", "chance", *matrix.sources]
    lines = [
        [name, row["metric"], row["examples"], row["majority"], *scores]
        for name, row, scores in zip(
            matrix.targets, rows, matrix.scores.tolist(), strict=True
        )
    ]
    say_lines(table(header, lines))
    say("means of other tasks' prompts, in % of the score of the task's own prompt")
    say_lines(table(*mean_cells(facts)))
    say(f"wrote {output}: {', '.join([*FILES, PLOT, PAGE, KNOWN])}")


def _margin(row: Mapping[str, Any]) -> float:
    """How far above chance a task's own prompt has to be to have learnt something."""
    if row["metric"] != "accuracy":
        return 0.0
    return margin_above(row["majority"], row["examples"])
