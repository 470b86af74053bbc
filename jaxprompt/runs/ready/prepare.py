"""A run's configuration -> checked files and a loaded model, ready for any command."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.config import COOCCURRENCE, Run
from jaxprompt.data.pretraining.cooccurrence import cooccurrence_rows
from jaxprompt.data.pretraining.passages import TextSource
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.tasks.shots import words_before
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import (
    Vocabulary,
    load_vocabulary,
    rowless_note,
)
from jaxprompt.evaluate.score import Predict, make_predict
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import Config
from jaxprompt.models.families import make_backbone
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import Checkpoint, read_params
from jaxprompt.prompts.file import Provenance
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.join import row_ids
from jaxprompt.prompts.prompt import Prompt, empty_prompt, stack
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import (
    RULES,
    RULES_OVER_DATA,
    Rules,
    check_batch_size,
    fetch,
    make_mesh,
    place,
    place_batch,
    place_whole_batch,
)
from jaxprompt.terminal import say

_SHORT_INPUT = 16
"""Tokens of a short example: as many of these fill a packed row."""


@dataclasses.dataclass(frozen=True)
class Ready:
    """A run whose files are checked and whose frozen model is loaded.

    Attributes:
        run: The configuration.
        tasks: Its tasks, tokenised for the model.
        mesh: The devices.
        backbone: The frozen model's functions.
        model: The frozen weights, in their places.
        shift_to: Tasks that are scored too, but not trained.
    """

    run: Run
    tasks: tuple[Task, ...]
    mesh: jax.sharding.Mesh
    backbone: Backbone
    model: Params
    shift_to: tuple[Task, ...] = ()

    @property
    def task(self) -> Task:
        """The run's task; the first of several."""
        return self.tasks[0]

    @property
    def members(self) -> list[tuple[int, int]]:
        """(number of the task, seed) of each prompt, in the order of the bank."""
        first = self.run.seed
        seeds = range(first, first + self.run.seeds)
        return [(place, seed) for place in range(len(self.tasks)) for seed in seeds]

    @property
    def lengths(self) -> Lengths:
        """Longest texts, in tokens."""
        return Lengths(self.run.data.input_length, self.run.data.target_length)

    def training_lengths(self, prompt_length: int) -> Lengths:
        """Returns the room of a training row.

        Behind a prompt, a packed row has the targets of as many short examples as fit:
        for every task alike, or a member of a bank would share its rows with others
        than alone. An unpacked row whose answers are label words has no more target
        tokens than the longest needs; not with dropout, for a mask is drawn for every
        position, and has to be the one that the member gets alone.
        """
        lengths, longest = self.lengths, 0
        if self.run.data.pack:
            soft = len(self.soft_ids(prompt_length))
            fit = (soft + lengths.inputs) // (soft + _SHORT_INPUT)
            room = max(fit, 1) if prompt_length else 1
            return dataclasses.replace(lengths, targets=lengths.targets * room)
        if self.run.model.dropout:
            return lengths
        for task in self.tasks:
            if task.labels is None:
                return lengths
            ids = task.label_ids(lengths.targets)
            longest = max(longest, int(np.count_nonzero(ids, axis=1).max()))
        return dataclasses.replace(lengths, targets=longest)

    def place_training_batch(self, batch: Batch) -> Batch:
        """Moves this host's rows of a batch of all members to the devices."""
        return place_batch(batch, self.mesh, self.run.num_members)

    def place_batch(self, batch: Batch) -> Batch:
        """Moves a batch that every host has whole to the devices."""
        return place_whole_batch(batch, self.mesh)

    def join(self, prompt: Prompt) -> Params:
        """Makes the joined tree {"model": ..., "prompt": ...}, every leaf in place."""
        whole = jax.tree.map(fetch, {"prompt": prompt})
        return {"model": self.model, **place(whole, self.mesh)}

    def soft_ids(self, length: int) -> np.ndarray:
        """Returns the ids that stand for a prompt in a row, int32."""
        return row_ids(self.backbone, length)

    def start_prompt(self) -> Prompt:
        """Makes the bank that training starts from; empty if the model trains."""
        if self.run.trains == "model":
            return empty_prompt(self.backbone.width)
        return stack(
            [self._start_of(self.tasks[place], seed) for place, seed in self.members]
        )

    def _start_of(self, task: Task, seed: int) -> Prompt:
        start = self.run.prompt
        return init_prompt(
            jax.random.key(seed),
            self.backbone.table(self.model),
            length=start.length,
            method=start.init,
            low=start.low,
            high=start.high,
            stddev=start.stddev,
            top=start.top,
            words=tuple(start.words) or task.start_words,
            text=start.text,
            file=start.file,
            encode=task.vocabulary.encode,
        )

    def hand_written_prompt(self, task: Task) -> Prompt | None:
        """Makes a prompt of exactly the hand-written tokens; None if there are none.

        Examples of the training split, if asked for, stand behind the text: the input
        of each and its target, the same ones in every run of the seed.
        """
        evaluation = self.run.evaluation
        text = words_before(
            task,
            evaluation.hand_written,
            split=self.run.data.train_split,
            shots=evaluation.shots,
            seed=self.run.seed,
        )
        if not text:
            return None
        encode = task.vocabulary.encode
        return init_prompt(
            jax.random.key(self.run.seed),
            self.backbone.table(self.model),
            length=len(encode(text)),
            method="text",
            text=text,
            encode=encode,
        )

    def predict(self, task: Task, seeds: Sequence[int] | None = None) -> Predict:
        """Returns the run's way from a task's batch to target ids; compiled once.

        Args:
            task: The task.
            seeds: Seed of each member of the bank; None for the run's own members.
        """
        if seeds is None:
            seeds = [seed for _, seed in self.members]
        # Only ranking depends on the task: it chooses from its label words.
        words = task.labels if self.run.evaluation.method == "rank" else None
        key = (words, tuple(seeds))
        if key not in self._compiled:
            self._compiled[key] = self._compile(task, seeds)
        return self._compiled[key]

    @functools.cached_property
    def _compiled(self) -> dict[tuple, Predict]:
        return {}

    def _compile(self, task: Task, seeds: Sequence[int]) -> Predict:
        evaluation = self.run.evaluation
        return make_predict(
            self.backbone,
            task,
            method=evaluation.method,
            length=evaluation.decode_length or self.run.data.target_length,
            beams=evaluation.beams,
            alpha=evaluation.alpha,
            top_p=evaluation.top_p,
            temperature=evaluation.temperature,
            seeds=seeds,
            place=self.place_batch,
        )


def prepare(
    run: Run,
    *,
    splits: Sequence[str] = (),
    answered: Sequence[str] = (),
    trained: Sequence[Provenance] = (),
    another_backbone: bool = False,
) -> Ready:
    """Checks all that can be checked without the weights, and loads these last.

    Without splits no file of the task is looked for: a prompt answers a user's rows
    wherever its model is.

    Args:
        run: The configuration.
        splits: Splits to train or to score on: all their files are looked for, then
            their rows are read and checked, which must have labels. With any, the same
            holds for the tasks of the domain shift.
        answered: Splits to answer alone, whose rows need no labels.
        trained: Where the prompts that are to be used come from; empty for a run that
            is to train.
        another_backbone: Allows a model that they were not trained on.

    Returns:
        What every command starts from.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    architecture = run.model.architecture
    if run.model.name is None and architecture is None:
        raise ValueError(
            "no model: give a Hub name or a folder, as "
            "--gin.MODEL=\"'google/t5-small-lm-adapt'\""
        )
    if run.data.task is None:
        raise ValueError("no task: give one, as --gin_file=gin/tasks/sst2.gin")
    mesh = make_mesh(run.model.mesh_data, run.model.mesh_model)
    if not trained:
        # A prompt answers on other devices than it was trained on.
        check_batch_size(run.batch_size, mesh, run.optimizer.accumulate)
    check_batch_size(run.evaluation.batch_size, mesh)
    if architecture is not None:
        causal = architecture.causal
        vocabulary = load_vocabulary(_vocabulary_of_new(run), causal=causal)
        tasks, shift_to = _load_tasks(run, vocabulary, splits, answered)
        backbone, model = _new_model(run, architecture, tasks[0], mesh)
        return Ready(run, tasks, mesh, backbone, model, shift_to)
    checkpoint = find_checkpoint(
        str(run.model.name),
        revision=run.model.revision,
        vocabulary=run.model.vocabulary,
    )
    vocabulary = vocabulary_of(checkpoint)
    tasks, shift_to = _load_tasks(run, vocabulary, splits, answered)
    backbone = open_backbone(
        checkpoint,
        dtype=run.model.dtype,
        dropout=run.model.dropout,
        remat=run.model.remat,
    )
    check_prompts(trained, backbone, another_backbone=another_backbone)
    backbone = dataclasses.replace(backbone, mesh=mesh)
    model = read_params(
        checkpoint,
        run.model.dtype,
        mesh,
        _rules(run),
        quantise=run.model.quantise,
    )
    return Ready(run, tasks, mesh, backbone, model, shift_to)


def _rules(run: Run) -> Rules:
    return RULES_OVER_DATA if run.model.weights_over_data else RULES


def _load_tasks(
    run: Run, vocabulary: Vocabulary, splits: Sequence[str], answered: Sequence[str]
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Loads and checks the tasks, and those of the domain shift where any is scored."""
    tasks = tuple(task.load(vocabulary) for task in run.data.tasks)
    shifts = run.data.shift_to if splits else ()
    shift_to = tuple(task.load(vocabulary) for task in shifts)
    # Examples in front of an input are training examples, whatever split is scored.
    shots = (run.data.train_split,) if splits and run.evaluation.shots else ()
    check_files(tasks, (*splits, *answered, *shots))
    check_files(shift_to, [run.data.shift_split])
    for task in tasks:
        _check_task(task, run, splits, answered)
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
    for split in (*splits, *answered):
        task.num_examples(split)
    for split in splits:
        task.check_labelled(split)
        task.check_tokens(split)
    if task.labels is not None or run.evaluation.method == "rank":
        task.label_ids(run.data.target_length)


def _new_model(
    run: Run, architecture: Config, task: Task, mesh: jax.sharding.Mesh
) -> tuple[Backbone, Params]:
    """Draws a new model's weights, which the run's seed decides."""
    backbone = make_backbone(
        architecture.for_vocabulary(task.vocabulary.vocab_size),
        vocabulary=run.model.vocabulary,
        dtype=run.model.dtype,
        dropout=run.model.dropout,
        remat=run.model.remat,
    )
    params = backbone.init(jax.random.key(run.seed))
    if run.model.embeddings == COOCCURRENCE:
        if not isinstance(task.source, TextSource):
            raise ValueError(
                f"Model.embeddings {COOCCURRENCE!r} needs a TextTask, whose text is "
                f"counted; the task is {task.name}: use 'random'"
            )
        texts = task.source.texts(run.data.train_split)
        rows = cooccurrence_rows(texts, task.vocabulary, backbone.width)
        table = params["embedding"].at[jnp.array(list(rows))]
        params = {**params, "embedding": table.set(np.stack(list(rows.values())))}
    backbone = dataclasses.replace(backbone, mesh=mesh)
    return backbone, place(params, mesh, _rules(run))


def _vocabulary_of_new(run: Run) -> str:
    if run.model.vocabulary is None:
        raise ValueError(
            "a new model has no vocabulary: train one with "
            "gin/recipes/nano/tokenizer.gin, and give it as "
            "--gin.VOCABULARY=\"'runs/tokenizer/spiece.model'\""
        )
    return run.model.vocabulary


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """Loads a checkpoint's vocabulary, and notes tokens that have no row.

    Raises:
        ValueError: If it has none.
    """
    if checkpoint.vocabulary is None:
        raise ValueError(
            f"{checkpoint.name} has no vocabulary: give its spiece.model, as "
            "--gin.VOCABULARY=\"'spiece.model'\""
        )
    config = checkpoint.config
    vocabulary = load_vocabulary(
        checkpoint.vocabulary, causal=config.causal, rows=config.text_rows
    )
    note = rowless_note(vocabulary)
    if note:
        say(f"jaxprompt: {checkpoint.name}: {note}", problem=True)
    return vocabulary
