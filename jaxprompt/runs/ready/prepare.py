"""A run's configuration -> a job: checked files, a loaded model, tokenised tasks."""

import sys
from collections.abc import Iterable, Sequence

import jax

from jaxprompt.config import WORDS, Model, Run
from jaxprompt.data.tasks.answers.labels import AtMask
from jaxprompt.data.tasks.few_shot import choose_rows
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.models.config import Config
from jaxprompt.prompts.deep_start import check_deep
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.runs.ready.frozen import OpenedModel, check_named, open_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.new_model import draw_model, vocabulary_of_new
from jaxprompt.runs.ready.opening import opening_line
from jaxprompt.runs.ready.start import check_start
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.terminal import say
from jaxprompt.sharding import check_batch_size, make_mesh


def prepare(
    run: Run,
    *,
    splits: Sequence[str] = (),
    answered: Sequence[str] = (),
    trained: Sequence[Provenance] = (),
    another_backbone: bool = False,
    model: OpenedModel | None = None,
) -> Job:
    """Checks all that can be checked without the weights, and loads these last.

    Args:
        run: The configuration.
        splits: Splits to train or to score on: all their files are looked for, then
            their rows are read and checked, which must have labels. With any, the same
            holds for the tasks of the domain shift.
        answered: Splits to answer alone, whose rows need no labels.
        trained: Where the prompts that are to be used come from; empty for a run that
            is to train.
        another_backbone: Allows a model that they were not trained on.
        model: That of the run, where it is open already; None opens it.

    Returns:
        What every command starts from.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    architecture = run.model.architecture
    if architecture is None:
        check_named(run.model)
    check_has_task(run)
    # A prompt answers on other devices than it was trained on.
    mesh = mesh_of(run, trains=not trained)
    if architecture is not None:
        vocabulary = vocabulary_of_new(run, architecture)
        tasks, shift_to = _load_tasks(run, vocabulary, splits, answered)
        _open(run, architecture, mesh, tasks, splits)
        return Job(draw_model(run, architecture, tasks[0], mesh), run, tasks, shift_to)
    model = model or open_model(run.model)
    tasks, shift_to = check_run(
        run, model, splits, answered, trained, another_backbone=another_backbone
    )
    has_deep = any(said.sites for said in trained) if trained else run.prompt.deep
    _open(run, model.checkpoint.config, mesh, tasks, splits)
    frozen = model.load(mesh)
    # States are kept of whole rows.
    if has_deep or not may_fold(run) or (run.data.keep_states and not trained):
        frozen = frozen.unfolded()
    return Job(frozen, run, tasks, shift_to, model.known)


def check_run(
    run: Run,
    model: OpenedModel,
    splits: Sequence[str] = (),
    answered: Sequence[str] = (),
    trained: Sequence[Provenance] = (),
    *,
    another_backbone: bool = False,
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Checks a run on a model that is there, and reads its rows; no weights.

    Args:
        run: The configuration.
        model: That of the run.
        splits: As of `prepare`, and the others too.
        answered: Splits to answer alone.
        trained: Where the prompts that are to be used come from.
        another_backbone: Allows a model that they were not trained on.

    Returns:
        The tasks, and those of the domain shift.

    Raises:
        ValueError: If anything does not fit.
        FileNotFoundError: If a file is missing.
    """
    check_head(run, model)
    tasks, shift_to = _load_tasks(run, model.vocabulary, splits, answered)
    if trained:
        check_prompts(trained, model.backbone, another_backbone=another_backbone)
    lengths = [said.length for said in trained]
    if "prompt" in run.trains and not trained:
        lengths = [run.prompt.length]
        config = model.checkpoint.config
        check_deep(config.sites, run.prompt.deep_start)
        if run.data.train_split in splits:
            check_start(run, config, tasks)
    for task in tasks:
        check_slots(task, lengths)
    return tasks, shift_to


def _open(
    run: Run,
    config: Config,
    mesh: jax.sharding.Mesh,
    tasks: Sequence[Task],
    splits: Sequence[str],
) -> None:
    """Says what is about to be loaded.

    What answers rows may write them to standard output: it tells only who looks on.

    Raises:
        ValueError: If the model's attention cannot have the form that is asked for.
    """
    line = opening_line(run, config, mesh, tasks, splits)
    if splits or sys.stderr.isatty():
        say(line, problem=not splits)


def may_fold(run: Run) -> bool:
    """Tells whether a decoder may read once what stands in front of every row.

    Not where the mean over the states of all tokens, these too, stands for a text.
    Neither does it where a prompt has keys and values that these would attend to.
    """
    return run.head.pooling != "mean"


def check_slots(task: Task, lengths: Iterable[int]) -> None:
    """Checks that prompts have the soft tokens that a task's template has places for.

    Args:
        task: The task.
        lengths: Soft tokens of each prompt.

    Raises:
        ValueError: If a prompt has another number of them.
    """
    template = task.template
    if template is None:
        return
    for length in lengths:
        if template.soft_slots not in (0, length):
            raise ValueError(
                f"template {template.text!r} has places for {template.soft_slots} soft "
                f"tokens, but the prompt has {length}: set "
                f"--gin.PROMPT_LENGTH={template.soft_slots}, or change the template"
            )


def check_head(run: Run, model: OpenedModel) -> None:
    """Raises ValueError where a model has not the words that are wanted of it."""
    config, name = model.checkpoint.config, model.checkpoint.name
    if config.encoder_only and run.head.kind == WORDS:
        raise ValueError(
            f"{name} is an encoder: it writes no words, so give it a head, as "
            "--gin.HEAD=classes --gin.TRAINS=prompt+head"
        )
    # Of configurations only those of encoders know masks.
    if run.head.kind == AtMask.kind and not getattr(config, "fills", False):
        trained = "--gin.HEAD=classes --gin.TRAINS=prompt+head"
        raise ValueError(
            f"{name} has no masked-LM head, which a head of mask asks for words: use "
            f"{trained if config.encoder_only else '--gin.HEAD=words'}"
        )


def check_has_task(run: Run) -> None:
    """Raises ValueError unless the run has a task."""
    if run.data.task is None:
        raise ValueError("no task: give one, as --gin_file=gin/tasks/sst2.gin")


def mesh_of(run: Run, *, trains: bool) -> jax.sharding.Mesh:
    """Makes the run's mesh, and checks that its batches divide over the devices.

    Args:
        run: The configuration.
        trains: Whether there are batches to train on.

    Raises:
        ValueError: If the devices do not fit the mesh, or a batch size the devices.
    """
    mesh = devices_of(run.model)
    if trains:
        check_batch_size(run.batch_size, mesh, run.optimizer.accumulate)
    check_batch_size(run.evaluation.batch_size, mesh)
    return mesh


def devices_of(settings: Model) -> jax.sharding.Mesh:
    """Makes the mesh that a model's settings ask for.

    Raises:
        ValueError: If the devices do not fit it.
    """
    return make_mesh(settings.mesh_data, settings.mesh_model)


def _load_tasks(
    run: Run, vocabulary: Vocabulary, splits: Sequence[str], answered: Sequence[str]
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Loads and checks the tasks, and those of the domain shift where any is scored."""
    tasks = tuple(run.load(task, vocabulary) for task in run.data.tasks)
    shifts = run.data.shift_to if splits else ()
    shift_to = tuple(run.load(task, vocabulary) for task in shifts)
    # Examples in front of an input are training examples, whatever split is scored.
    shows = splits and run.evaluation.examples_in_input
    shown = (run.data.train_split,) if shows else ()
    check_files(tasks, (*splits, *answered, *shown))
    check_files(shift_to, [run.data.shift_split])
    for task in tasks:
        _check_task(task, run, splits, answered)
        if run.data.few_rows and run.data.train_split in splits:
            for seed in range(run.seed, run.seed + run.seeds):
                choose_rows(task, run.data.train_split, run.data.few_rows, seed)
    for task in shift_to:
        _check_task(task, run, [run.data.shift_split])
        _check_bridge(tasks, task)
    return tasks, shift_to


def check_files(tasks: Sequence[Task], splits: Iterable[str]) -> None:
    """Looks for the files of all tasks, which takes no time, and reads none.

    Args:
        tasks: The tasks.
        splits: The splits of each that are needed.

    Raises:
        ValueError: If a task has no such split.
        FileNotFoundError: If a file is missing.
    """
    for task in tasks:
        for split in splits:
            task.check_split(split)


def _check_bridge(tasks: Sequence[Task], other: Task) -> None:
    for task in tasks:
        if task.labels != other.labels:
            raise ValueError(
                f"task {task.name} answers {_answers(task)}, but {other.name}, which it"
                f" is to be scored on, {_answers(other)}: give {other.name} the label "
                "words of the former, by OfficialTask.label_words"
            )


def _answers(task: Task) -> str:
    return "in free text" if task.labels is None else " or ".join(task.labels)


def _check_task(
    task: Task, run: Run, splits: Sequence[str], answered: Sequence[str] = ()
) -> None:
    """Reads the splits, and checks that the labels fit."""
    task.check_length(run.data.input_length)
    for split in (*splits, *answered):
        task.num_examples(split)
    for split in splits:
        task.check_labelled(split)
        task.check_tokens(split)
        task.check_targets(split, run.data.target_length)
    if task.answers is not None:
        return
    if task.labels is not None or run.evaluation.method == "rank":
        task.label_ids(run.data.target_length)
