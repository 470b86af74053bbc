"""A run's configuration -> checked files and a loaded model, ready for any command."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.config import COOCCURRENCE, Run
from jaxprompt.data.cooccurrence import cooccurrence_rows
from jaxprompt.data.pipeline import Lengths
from jaxprompt.data.pretraining import TextSource
from jaxprompt.data.task import Task
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.evaluate.score import Predict, make_predict
from jaxprompt.models.backbone import find_checkpoint, open_backbone
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.models.weights.checkpoint import Checkpoint, read_params
from jaxprompt.prompts.file import Provenance, check_backbone
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.prompt import Prompt, empty_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import check_batch_size, make_mesh, place, place_batch


@dataclasses.dataclass(frozen=True)
class Ready:
    """A run whose files are checked and whose frozen model is loaded.

    Attributes:
        run: The configuration.
        task: Its task, tokenised for the model.
        mesh: The devices.
        backbone: The frozen model's functions.
        model: The frozen weights, in their places.
    """

    run: Run
    task: Task
    mesh: jax.sharding.Mesh
    backbone: T5
    model: Params

    @property
    def lengths(self) -> Lengths:
        """Longest texts, in tokens."""
        return Lengths(self.run.data.input_length, self.run.data.target_length)

    def place_batch(self, batch: Batch) -> Batch:
        """Moves a batch of NumPy arrays to the devices."""
        return place_batch(batch, self.mesh)

    def join(self, prompt: Prompt) -> Params:
        """Makes the joined tree {"model": ..., "prompt": ...}, every leaf in place."""
        return {"model": self.model, **place({"prompt": prompt}, self.mesh)}

    def soft_ids(self, length: int) -> np.ndarray:
        """Returns the ids of a prompt of this length, int32 [P]."""
        return prefix(self.backbone.vocab_rows, length)

    def start_prompt(self) -> Prompt:
        """Makes the prompt that training starts from; empty if the model trains."""
        start = self.run.prompt
        if self.run.trains == "model":
            return empty_prompt(self.backbone.width)
        return init_prompt(
            jax.random.key(self.run.seed),
            self.backbone.table(self.model),
            length=start.length,
            method=start.init,
            low=start.low,
            high=start.high,
            stddev=start.stddev,
            top=start.top,
            words=tuple(start.words) or self.task.labels or (),
            text=start.text,
            file=start.file,
            encode=self.task.vocabulary.encode,
        )

    def hand_written_prompt(self) -> Prompt | None:
        """Makes a prompt of exactly the hand-written tokens; None if there are none."""
        text = self.run.evaluation.hand_written
        if not text:
            return None
        encode = self.task.vocabulary.encode
        return init_prompt(
            jax.random.key(self.run.seed),
            self.backbone.table(self.model),
            length=len(encode(text)),
            method="text",
            text=text,
            encode=encode,
        )

    @functools.cached_property
    def predict(self) -> Predict:
        """The run's way from a batch to target ids; compiled once."""
        evaluation = self.run.evaluation
        return make_predict(
            self.backbone,
            self.task,
            method=evaluation.method,
            length=self.run.data.target_length,
            beams=evaluation.beams,
            alpha=evaluation.alpha,
            place=self.place_batch,
        )


def prepare(
    run: Run,
    *,
    splits: Sequence[str],
    trained: Provenance | None = None,
    another_backbone: bool = False,
) -> Ready:
    """Checks all that can be checked without the weights, and loads these last.

    Args:
        run: The configuration.
        splits: Splits of the task whose files are read and checked.
        trained: Where the prompt that is to be used comes from.
        another_backbone: Allows a model that it was not trained on.

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
    load = run.data.task.load
    mesh = make_mesh(run.model.mesh_data, run.model.mesh_model)
    check_batch_size(run.batch_size, mesh, run.optimizer.accumulate)
    check_batch_size(run.evaluation.batch_size, mesh)
    if architecture is not None:
        task = load(load_vocabulary(_vocabulary_of_new(run)))
        _check_task(task, run, splits)
        return Ready(run, task, mesh, *_new_model(run, architecture, task, mesh))
    checkpoint = find_checkpoint(
        str(run.model.name),
        revision=run.model.revision,
        vocabulary=run.model.vocabulary,
    )
    task = load(load_vocabulary(vocabulary_of(checkpoint)))
    _check_task(task, run, splits)
    backbone = open_backbone(
        checkpoint,
        dtype=run.model.dtype,
        dropout=run.model.dropout,
        remat=run.model.remat,
    )
    if trained is not None:
        check_backbone(trained, backbone, override=another_backbone)
    model = read_params(checkpoint, run.model.dtype, mesh)
    return Ready(run, task, mesh, backbone, model)


def _check_task(task: Task, run: Run, splits: Sequence[str]) -> None:
    """Reads the splits, and checks that the labels fit."""
    for split in splits:
        task.num_examples(split)
        task.check_labelled(split)
    if task.labels is not None or run.evaluation.method == "rank":
        task.label_ids(run.data.target_length)


def _new_model(
    run: Run, architecture: T5Config, task: Task, mesh: jax.sharding.Mesh
) -> tuple[T5, Params]:
    """Draws a new model's weights, which the run's seed decides."""
    backbone = T5(
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
        table = backbone.table(params).at[jnp.array(list(rows))]
        params = {**params, "embedding": table.set(np.stack(list(rows.values())))}
    return backbone, place(params, mesh)


def _vocabulary_of_new(run: Run) -> str:
    if run.model.vocabulary is None:
        raise ValueError(
            "a new model has no vocabulary: train one with "
            "gin/recipes/nano/tokenizer.gin, and give it as "
            "--gin.VOCABULARY=\"'runs/tokenizer/spiece.model'\""
        )
    return run.model.vocabulary


def vocabulary_of(checkpoint: Checkpoint) -> str:
    """Returns the path of a checkpoint's vocabulary; ValueError if it has none."""
    if checkpoint.vocabulary is None:
        raise ValueError(
            f"{checkpoint.name} has no vocabulary: give its spiece.model, as "
            "--gin.VOCABULARY=\"'spiece.model'\""
        )
    return checkpoint.vocabulary
