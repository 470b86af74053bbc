"""What a run is made of: frozen dataclasses, which gin fills and Python can too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxprompt.data.own import file_task
from jaxprompt.data.task import Task, load_task
from jaxprompt.evaluate.score import METHODS as EVALUATION_METHODS
from jaxprompt.prompts.init import METHODS as INIT_METHODS
from jaxprompt.train.loop import Pace
from jaxprompt.train.optimizer import MASKS


@dataclass(frozen=True, kw_only=True)
class Model:
    """The frozen model and where it lives; see `models.backbone.load`.

    Attributes:
        name: Hub name, Hugging Face folder or T5X checkpoint folder.
        revision: Commit, tag or branch on the Hub.
        vocabulary: A `spiece.model`; None takes the one beside the weights.
        dtype: Of the weights and the computation, "float32" or "bfloat16".
        remat: What the backward pass computes again: "none", "dots" or "full".
        dropout: Rate in training.
        mesh_data: Devices that split the batch; -1 for all that are left.
        mesh_model: Devices that split the weights.
    """

    name: str | None = None
    revision: str | None = None
    vocabulary: str | None = None
    dtype: str = "float32"
    remat: Literal["none", "dots", "full"] = "none"
    dropout: float = 0.0
    mesh_data: int = -1
    mesh_model: int = 1


@dataclass(frozen=True, kw_only=True)
class OfficialTask:
    """A task of a benchmark, from its official files or from TFDS.

    Attributes:
        name: One of `data.task.task_names()`.
        data_dir: Folder of official files; None takes TFDS.
        keep_task_name: Whether the text begins with the task's name, as T5's own
            multi-task formats do; prompt tuning leaves it out.
    """

    name: str = ""
    data_dir: str | None = None
    keep_task_name: bool = False

    def load(self, vocabulary: Any) -> Task:
        """Reads and checks the task's files."""
        return load_task(
            self.name,
            vocabulary=vocabulary,
            data_dir=self.data_dir,
            keep_task_name=self.keep_task_name,
        )


@dataclass(frozen=True, kw_only=True)
class OwnTask:
    """A task from JSONL, CSV or TSV files; see `data.own.file_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split, or one file that `share` splits.
        inputs: Template over the fields of a row, as "review: {text}".
        target: The field, or template, of the answer.
        labels: From the field's value to the label word; None for free text.
        share: Share of the rows in each split, of one file.
        seed: Of that split.
        metrics: Names of t5's metrics.
    """

    name: str = ""
    files: str | Mapping[str, str] = field(default_factory=dict)
    inputs: str = ""
    target: str = ""
    labels: Mapping[str, str] | None = None
    share: Mapping[str, float] | None = None
    seed: int = 0
    metrics: Sequence[str] = ("accuracy",)

    def load(self, vocabulary: Any) -> Task:
        """Reads and checks the files."""
        return file_task(
            self.name,
            files=self.files if isinstance(self.files, str) else dict(self.files),
            inputs=self.inputs,
            target=self.target,
            labels=None if self.labels is None else dict(self.labels),
            share=None if self.share is None else dict(self.share),
            seed=self.seed,
            metrics=tuple(self.metrics),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """A task and how much of it the model sees.

    Attributes:
        task: The task.
        input_length: Source tokens of text, end-of-sequence included; the prompt's
            soft tokens come on top.
        target_length: Target tokens, end-of-sequence included.
        train_split: Split to train on.
        validation_split: Split that chooses the prompt and gives the score.
    """

    task: OfficialTask | OwnTask | None = None
    input_length: int = 512
    target_length: int = 8
    train_split: str = "train"
    validation_split: str = "validation"

    @property
    def task_name(self) -> str:
        """The task's name; empty without a task."""
        return self.task.name if self.task else ""


@dataclass(frozen=True, kw_only=True)
class PromptStart:
    """How the prompt starts; see `prompts.init.init_prompt`.

    Attributes:
        length: Prompt length P, in tokens.
        init: One of `prompts.init.METHODS`.
        low: Lower end of "uniform".
        high: Upper end of "uniform".
        stddev: Of "normal".
        top: Most frequent tokens to sample from.
        words: Of "class_labels"; empty takes the task's label words.
        text: Of "text".
        file: Of "file".
    """

    length: int = 100
    init: str = "class_labels"
    low: float = -0.5
    high: float = 0.5
    stddev: float = 0.5
    top: int = 5000
    words: Sequence[str] = ()
    text: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        if self.init not in INIT_METHODS:
            raise ValueError(
                f"unknown prompt initialisation {self.init!r}: use one of "
                f"{list(INIT_METHODS)}"
            )
        if isinstance(self.words, str):
            raise ValueError(
                f"PromptStart.words is the text {self.words!r}: use a list of words, "
                f"as [{self.words!r}]"
            )
        if self.length < 1:
            raise ValueError(
                f"prompt length {self.length}: a trained prompt has 1 or more rows"
            )


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Adafactor and the loss; see `train.optimizer` and `train.step`.

    Attributes:
        learning_rate: Highest rate.
        schedule: One of `train.optimizer.SCHEDULES`.
        warmup: Steps of linear warm-up.
        weight_decay: Share taken off every weight in each step.
        decay_rate: Exponent of the second moment's decay.
        decay_offset: Step at which the second moment's decay starts.
        parameter_scale: Whether steps are in proportion to what they change.
        z_loss: Factor of the squared log-normaliser.
        accumulate: Microbatches that a batch is split into.
    """

    learning_rate: float = 0.3
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 1e-5
    decay_rate: float = 0.8
    decay_offset: int = 0
    parameter_scale: bool = False
    z_loss: float = 1e-4
    accumulate: int = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a prompt is scored; see `evaluate.score.make_predict`.

    Attributes:
        method: One of `evaluate.score.METHODS`.
        beams: Sequences that "beam" keeps.
        alpha: Its brevity penalty.
        batch_size: Rows B of a batch.
        num_examples: Examples of the validation split to score; None for all.
    """

    method: str = "greedy"
    beams: int = 4
    alpha: float = 0.6
    batch_size: int = 32
    num_examples: int | None = None

    def __post_init__(self) -> None:
        if self.method not in EVALUATION_METHODS:
            raise ValueError(
                f"unknown method {self.method!r}: use one of {list(EVALUATION_METHODS)}"
            )


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run's result.

    Attributes:
        trains: "prompt", or "model" for model tuning without a prompt, the baseline.
        model: The frozen model.
        data: The task.
        prompt: How the prompt starts.
        optimizer: How it learns.
        pace: For how long, and how often it is evaluated and saved.
        evaluation: How it is scored.
        batch_size: Rows B of a training batch, over all devices.
        seed: Of the prompt's start, the order of the data and the dropout.
    """

    trains: str = "prompt"
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    prompt: PromptStart = field(default_factory=PromptStart)
    optimizer: Optimizer = field(default_factory=Optimizer)
    pace: Pace = field(default_factory=lambda: Pace(steps=30_000))
    evaluation: Evaluation = field(default_factory=Evaluation)
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trains not in MASKS:
            raise ValueError(f"trains {self.trains!r}: use one of {list(MASKS)}")
        if self.trains == "model" and self.model.dtype != "float32":
            raise ValueError(
                f"model tuning with {self.model.dtype} weights loses its small steps: "
                "use float32"
            )


CONFIGURABLES = (
    Model,
    OfficialTask,
    OwnTask,
    Data,
    PromptStart,
    Optimizer,
    Pace,
    Evaluation,
    Run,
)
"""All that a gin file may name."""
