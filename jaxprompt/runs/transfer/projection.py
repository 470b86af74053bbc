"""Mapping prompts of one model to another: from shared words, or by a network."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprompt.config import WORDS, Run
from jaxprompt.config.answering import describe
from jaxprompt.config.settings import Model
from jaxprompt.data.rows.bank import Member, bank_batches
from jaxprompt.data.rows.position import Position
from jaxprompt.data.rows.widths import cut_to_longest
from jaxprompt.interop.folder import check_replaceable, new_folder
from jaxprompt.models.weights.checkpoint import Checkpoint, read_table
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.bindings import with_values
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.frozen import Frozen, OpenedModel, open_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import (
    check_files,
    check_has_task,
    check_head,
    may_fold,
    mesh_of,
)
from jaxprompt.runs.ready.together import answer_settings, check_together
from jaxprompt.runs.ready.trained_on import own_model
from jaxprompt.screen.progress_bar import progress_bar
from jaxprompt.screen.quoting import listed, quoted, quoted_path
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.shapes import Batch
from jaxprompt.transfer.categories import category_of
from jaxprompt.transfer.fitting import Fitted, fit_distance, fit_tasks
from jaxprompt.transfer.named import NamedPrompts, read_named
from jaxprompt.transfer.projector import FORMS, Projector
from jaxprompt.transfer.shared_words import (
    linear_map,
    mean_length,
    relative_map,
    shared_words,
)

WITHOUT_TRAINING = ("linear", "relative")
"""Maps from the words that both models know."""

IN_WORDS = (
    "let the other model answer by words, by a gin file behind --tasks that asks the "
    "prompt's task so"
)
"""What helps where an answer does not go along to another model."""

SAME = 0.9
"""Cosine over which prompts are told to be one: nine of docs/transfer.md have 0.3."""

Rows = Float[np.ndarray, "prompts P D"]


def project_prompts(
    runs: Mapping[Path, Run],
    to: str,
    output: Path,
    *,
    overwrite: bool = False,
    configs: Sequence[str] | None = None,
    by: str = "linear",
    towards: Sequence[Path] = (),
    train_on: Sequence[str] = (),
    steps: int = 500,
    learning_rate: float = 5e-3,
    hidden_width: int = 768,
) -> list[Path]:
    """Writes prompts for another model, made of those of one.

    Both models stay as they are, and so do the prompts that are given.

    Args:
        runs: Prompt files of the first model, and the run of each.
        to: Name or folder of the other model.
        output: The folder to make, of a file for each prompt.
        overwrite: Whether it may exist, with files of these names alone.
        configs: The configuration of each run as gin text, for the files to hold; None
            takes what the prompts' own files hold.
        by: One of `WITHOUT_TRAINING`, or of `transfer.projector.FORMS`.
        towards: Prompts of the other model: a network is trained on the distance to
            those of the same tasks. Without them, it is trained on the tasks.
        train_on: Tasks of the prompts that a network is trained on; empty for all.
        steps: Of its training.
        learning_rate: Of its training.
        hidden_width: Of a network with a hidden layer.

    Returns:
        The files.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    if by not in (*WITHOUT_TRAINING, *FORMS):
        known = ", ".join((*WITHOUT_TRAINING, *FORMS))
        raise ValueError(f"unknown map {by!r}: use one of {known}")
    if steps < 1:
        raise ValueError(f"{steps} steps: a network trains for 1 or more")
    prompts = read_named(list(runs))
    known = [one for one in prompts.provenances if one is not None]
    if configs is None:
        configs = [said.config for said in known]
    for file, run in runs.items():
        if run.head.has_weights:
            raise ValueError(
                f"{quoted_path(file)} answers by a head of {run.head.kind}, which "
                f"belongs to its own model: {IN_WORDS}; where its task has label "
                "words, --gin.TRAINS=prompt --gin.HEAD=words --gin.METHOD=rank do"
            )
    tasks = [said.task for said in known]
    chosen = _chosen(tasks, train_on)
    given = [file for file in runs if file.resolve().parent == output.resolve()]
    if given:
        raise ValueError(
            f"{quoted_path(output)} holds {given[0].name}, one of the prompts that are "
            "to be mapped: name another folder for what is made of them"
        )
    check_replaceable(output, _file_names(prompts))
    check_output(output, overwrite, folder=True)
    model = open_model(Model(name=to))
    own = [_with_model(run, to) for run in runs.values()]
    for file, said, run in zip(runs, known, own, strict=True):
        _check_answers(file, said, run, model)
    if by in WITHOUT_TRAINING:
        source = open_model(own_model(known[0], next(iter(runs.values()))))
        rows = _from_words(prompts.rows, source, model, by)
        chosen = []
    else:
        long = mean_length(_table(model.checkpoint))
        projector = Projector(
            by,
            prompts.rows.shape[1],
            prompts.rows.shape[2],
            model.backbone.width,
            hidden_width=hidden_width,
            gain=long / model.backbone.width**0.5,
        )
        say(f"{by}: {projector.size:,} weights, trained on {listed(chosen)}")
        if projector.normed and by != "layer":
            say(f"soft tokens begin {long:.2f} long, as words of {to} are")
        places = [place for place, task in enumerate(tasks) if task in chosen]
        sources = jnp.asarray(prompts.rows[places])
        if towards:
            targets = _pairs(read_named(towards), prompts.take(places), model)
            fitted = fit_distance(
                projector, sources, targets, steps=steps, learning_rate=learning_rate
            )
        else:
            fitted = _fit_tasks(
                projector,
                model,
                [own[place] for place in places],
                sources,
                steps=steps,
                learning_rate=learning_rate,
            )
        say(f"loss {fitted.losses[0]:.4f} at first, {fitted.losses[-1]:.4f} at last")
        made = jax.jit(projector.apply)(fitted.params, jnp.asarray(prompts.rows))
        rows = np.asarray(made)
    files = _write(output, prompts, own, configs, rows, model, by)
    _print(prompts.names, tasks, chosen, rows)
    say(f"wrote {output}: {len(files)} prompts for {to}")
    return files


def _chosen(tasks: Sequence[str], train_on: Sequence[str]) -> list[str]:
    unknown = [task for task in train_on if task not in tasks]
    if unknown:
        raise ValueError(
            f"no prompt of task {quoted(unknown[0])} to train on: there are those of "
            f"{listed(tasks)}"
        )
    return list(train_on or dict.fromkeys(tasks))


def _with_model(run: Run, name: str) -> Run:
    model = dataclasses.replace(run.model, name=name, revision=None, vocabulary=None)
    return dataclasses.replace(run, model=model)


def _check_answers(file: Path, said: Provenance, run: Run, model: OpenedModel) -> None:
    """Checks that a mapped prompt has a task which the other model can answer.

    One that says nothing of a task is mapped all the same.

    Raises:
        ValueError: If the model, or the task, has no answers of the run's kind.
    """
    if run.data.task is None:
        return
    if model.checkpoint.config.encoder_only and run.head.kind == WORDS:
        raise ValueError(
            f"{model.checkpoint.name} is an encoder, which writes no words, and "
            f"{quoted_path(file)} is to answer by them: ask its task at a mask, as by "
            "--gin.HEAD=mask and a gin file with {mask:1} in its inputs behind --tasks"
        )
    check_head(run, model)
    if said.head == run.head.kind:
        return
    try:
        run.load(run.data.tasks[0], model.vocabulary)
    except ValueError as error:
        raise ValueError(f"{quoted_path(file)}: {error}: {IN_WORDS}") from error


def _from_words(rows: Rows, source: OpenedModel, target: OpenedModel, by: str) -> Rows:
    """Maps prompts by the words that both models know."""
    ours, theirs = _table(source.checkpoint), _table(target.checkpoint)
    shared = shared_words(source.vocabulary, target.vocabulary, len(ours))
    known = ours[shared.source_ids], theirs[shared.target_ids]
    say(
        f"{len(shared.words)} words are one token of {source.checkpoint.name} and of "
        f"{target.checkpoint.name}"
    )
    if by == "relative":
        return relative_map(rows, *known).astype(np.float32)
    if len(shared.words) < ours.shape[1]:
        say(
            f"that is fewer than the {ours.shape[1]} dimensions of the first: the map "
            "is the smallest that fits",
            problem=True,
        )
    matrix = linear_map(*known)
    left = np.linalg.norm(known[0] @ matrix - known[1]) / np.linalg.norm(known[1])
    say(f"least squares leave {left:.0%} of the words' length unexplained")
    return (rows @ matrix).astype(np.float32)


def _table(checkpoint: Checkpoint) -> Float[np.ndarray, "V D"]:
    return np.concatenate([np.float32(part) for part in read_table(checkpoint)])


def _pairs(
    known: NamedPrompts, prompts: NamedPrompts, model: OpenedModel
) -> Float[jax.Array, "M P E"]:
    """Finds the other model's prompt of each prompt's task."""
    of_task: dict[str, int] = {}
    for place, said in enumerate(known.provenances):
        if said is not None:
            of_task.setdefault(said.task, place)
    if known.prompts[0].width != model.backbone.width:
        raise ValueError(
            f"prompts to come close to are {known.prompts[0].width} wide, but "
            f"{model.checkpoint.name} is {model.backbone.width}: name its own"
        )
    places = []
    for said in prompts.provenances:
        assert said is not None
        if said.task not in of_task:
            raise ValueError(
                f"no prompt of {quoted(said.task)} among those to come close to, which "
                f"are of {listed(of_task)}: name its prompt, or leave it out by "
                "--train_on"
            )
        places.append(of_task[said.task])
    rows = known.take(places).rows
    if rows.shape[1] != prompts.rows.shape[1]:
        raise ValueError(
            f"prompts of {prompts.rows.shape[1]} soft tokens to come close to others "
            f"of {rows.shape[1]}: use prompts of one length"
        )
    return jnp.asarray(rows)


def _fit_tasks(
    projector: Projector,
    model: OpenedModel,
    runs: Sequence[Run],
    sources: Float[jax.Array, "M P D"],
    *,
    steps: int,
    learning_rate: float,
) -> Fitted:
    """Trains a network by the tasks of its prompts, through the other model."""
    first = runs[0]
    for run in runs:
        check_has_task(run)
    labels = [run.data.tasks[0].label for run in runs]
    settings = dict(zip(map(Path, labels), map(answer_settings, runs), strict=True))
    check_together(settings)
    mesh = mesh_of(first, trains=False)
    check_head(first, model)
    tasks = [run.load(run.data.tasks[0], model.vocabulary) for run in runs]
    split = first.data.train_split
    check_files(tasks, [split])
    frozen = model.load(mesh)
    if not all(map(may_fold, runs)):
        frozen = frozen.unfolded()
    job = Job(frozen, first, tuple(tasks))
    stream = bank_batches(
        [Member(task, first.seed) for task in tasks],
        split,
        job.lengths,
        frozen.soft_ids(projector.length),
        [Position()] * len(tasks),
        batch_size=first.batch_size,
    )
    return fit_tasks(
        projector,
        frozen.backbone,
        frozen.model,
        sources,
        progress_bar(
            f"training the map on {listed(labels)}",
            each=_placed(frozen, stream, steps, projector.length),
            total=steps,
            unit="step",
        ),
        head=job.head,
        learning_rate=learning_rate,
    )


def _placed(
    frozen: Frozen, stream: Iterator[tuple[Batch, object]], steps: int, length: int
) -> Iterator[Batch]:
    for _, (batch, _position) in zip(range(steps), stream, strict=False):
        yield frozen.place_batch(cut_to_longest(batch, length))


def _file_names(prompts: NamedPrompts) -> list[str]:
    return [f"{name.replace('/', '-')}.safetensors" for name in prompts.names]


def _write(
    output: Path,
    prompts: NamedPrompts,
    runs: Sequence[Run],
    configs: Sequence[str],
    rows: Rows,
    model: OpenedModel,
    by: str,
) -> list[Path]:
    names = _file_names(prompts)
    with new_folder(output, names) as folder:
        for file, one, said, run, config in zip(
            names, rows, prompts.provenances, runs, configs, strict=True
        ):
            assert said is not None
            save_prompt(
                folder / file,
                make_prompt(jnp.asarray(one)),
                model.backbone,
                head=run.head.kind,
                task=said.task,
                metric=said.metric,
                seed=said.seed,
                init=f"map:{by}",
                source=f"mapped by {by} from a prompt of {said.backbone}",
                config=with_values(config, {"Model.name": run.model.name}),
                answering=describe(run),
            )
    return [output / name for name in names]


def _print(
    names: Sequence[str], tasks: Sequence[str], chosen: Sequence[str], rows: Rows
) -> None:
    """Says of each prompt whether the map was trained on its task, or on its type."""
    types = {category_of(task) for task in chosen} - {None}
    lines = []
    alike = _cosines(rows)
    for name, task, one, cosine in zip(names, tasks, rows, alike, strict=True):
        kind = "same type" if category_of(task) in types else "other type"
        if not chosen:
            kind = "no training"
        elif task in chosen:
            kind = "trained on"
        length = float(np.linalg.norm(one, axis=-1).mean())
        told = "-" if len(rows) == 1 else f"{cosine:.2f}"
        lines.append([name, category_of(task), kind, f"{length:.3f}", told])
    head = ["prompt", "type", "the map was", "mean norm", "cosine with others"]
    say_lines(table(head, lines))
    if len(rows) > 1 and min(alike) > SAME:
        say(
            f"all cosines are over {SAME}: the mapped prompts are nearly one. Where "
            "those that were given are not, the map writes it whatever it is given: "
            "train it on prompts of more tasks, or for fewer steps",
            problem=True,
        )


def _cosines(rows: Rows) -> list[float]:
    """Returns how alike a prompt's soft tokens are to the others' at their places."""
    units = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    cosines = np.einsum("apd,bpd->ab", units, units) / rows.shape[1]
    others = max(len(rows) - 1, 1)
    return ((cosines.sum(axis=1) - cosines.diagonal()) / others).tolist()
