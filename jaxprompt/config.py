"""What a run is made of: frozen dataclasses, which gin fills and Python can too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxprompt.data.own import file_task
from jaxprompt.data.pretraining import text_task
from jaxprompt.data.task import Task, load_task
from jaxprompt.data.text import Text, read_text
from jaxprompt.evaluate.score import METHODS as EVALUATION_METHODS
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.init import METHODS as INIT_METHODS
from jaxprompt.train.loop import Pace
from jaxprompt.train.optimizer import MASKS, OPTIMIZERS

LOSS = "loss"
"""The method that decodes nothing; see `evaluate.loss`."""

COOCCURRENCE = "cooccurrence"
"""Embeddings that start from the text; see `data.cooccurrence`."""

VOCABULARY = "vocabulary"
"""What a run trains that makes a SentencePiece model, and no weights."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model and where it lives; see `models.backbone.load`.

    Attributes:
        name: Hub name, Hugging Face folder or T5X checkpoint folder.
        architecture: Sizes of a new model of random weights, instead of a name; it
            needs a vocabulary.
        embeddings: How a new model's embedding table starts: "random", or
            "cooccurrence", which needs a `TextTask`.
        revision: Commit, tag or branch on the Hub.
        vocabulary: A `spiece.model`; None takes the one beside the weights.
        dtype: Of the weights and the computation, "float32" or "bfloat16".
        remat: What the backward pass computes again: "none", "dots" or "full".
        dropout: Rate in training.
        mesh_data: Devices that split the batch; -1 for all that are left.
        mesh_model: Devices that split the weights.
    """

    name: str | None = None
    architecture: T5Config | None = None
    embeddings: str = "random"
    revision: str | None = None
    vocabulary: str | None = None
    dtype: str = "float32"
    remat: Literal["none", "dots", "full"] = "none"
    dropout: float = 0.0
    mesh_data: int = -1
    mesh_model: int = 1

    def __post_init__(self) -> None:
        if self.name is not None and self.architecture is not None:
            raise ValueError(
                f"model {self.name!r} and an architecture: give a name for a model "
                "that is there, or an architecture for a new one"
            )
        if self.embeddings not in ("random", COOCCURRENCE):
            raise ValueError(
                f"unknown embeddings {self.embeddings!r}: use 'random' or "
                f"{COOCCURRENCE!r}"
            )


@dataclass(frozen=True, kw_only=True)
class OfficialTask:
    """A task of a benchmark, from its official files or from TFDS.

    Attributes:
        name: One of `data.task.task_names()`.
        data_dir: Folder of official files, or "bundled:mini"; None takes TFDS.
        keep_task_name: Whether the text begins with the task's name, as T5's own
            multi-task formats do; prompt tuning leaves it out.
        label_words: Label -> the word that stands for it (verbalizer); None keeps
            the labels of t5's format.
        title: What results call the task; empty for its name.
    """

    name: str = ""
    data_dir: str | None = None
    keep_task_name: bool = False
    label_words: Mapping[str, str] | None = None
    title: str = ""

    def load(self, vocabulary: Any) -> Task:
        """Reads and checks the task's files."""
        return load_task(
            self.name,
            vocabulary=vocabulary,
            data_dir=self.data_dir,
            keep_task_name=self.keep_task_name,
            label_words=None if self.label_words is None else dict(self.label_words),
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
class TextTask:
    """Raw text to pre-train on; see `data.text.read_text`, `data.pretraining`.

    Attributes:
        name: Any name, for the results.
        folder: Folder of *.txt files.
        objectives: Name -> how often, in proportion; see
            `data.pretraining.text_task`.
        validation_share: Share of the text that is kept for validation.
        passage_words: Most words of a passage.
        noise_density: Share of tokens that "span_corruption" masks.
        mean_span: Mean length of its spans, in tokens.
        seed: Of the training noise.
    """

    name: str = "text"
    folder: str = ""
    objectives: Mapping[str, float] = field(
        default_factory=lambda: {"span_corruption": 1.0}
    )
    validation_share: float = 0.01
    passage_words: int = 60
    noise_density: float = 0.15
    mean_span: float = 3.0
    seed: int = 0

    def load(self, vocabulary: Any) -> Task:
        """Makes the task; its text is read when a split is first used."""
        return text_task(
            self.name,
            self.folder,
            objectives=dict(self.objectives),
            validation_share=self.validation_share,
            passage_words=self.passage_words,
            noise_density=self.noise_density,
            mean_span=self.mean_span,
            seed=self.seed,
            vocabulary=vocabulary,
        )

    def read(self) -> Text:
        """Reads the passages alone."""
        return read_text(
            self.folder,
            validation_share=self.validation_share,
            passage_words=self.passage_words,
        )


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A vocabulary to train; see `data.tokenizer.train_vocabulary`.

    Attributes:
        pieces: Pieces, the three special ones included.
        sentinels: Ids behind them, which stand for what span corruption leaves out.
        character_coverage: Share of the text's characters that get a piece.
    """

    pieces: int = 4000
    sentinels: int = 96
    character_coverage: float = 0.9998


@dataclass(frozen=True, kw_only=True)
class Data:
    """A task and how much of it the model sees.

    Attributes:
        task: The task.
        input_length: Source tokens of text, end-of-sequence included; the prompt's
            soft tokens come on top.
        target_length: Target tokens, end-of-sequence included.
        train_split: Split to train on.
        validation_split: Split that chooses the prompt.
        test_split: Split of the final score; None takes the validation split.
        pack: Whether a row of a training batch holds as many examples as fit.
    """

    task: OfficialTask | OwnTask | TextTask | None = None
    input_length: int = 512
    target_length: int = 8
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str | None = None
    pack: bool = False

    @property
    def scored_split(self) -> str:
        """The split that a finished run is scored on."""
        return self.test_split or self.validation_split

    @property
    def task_name(self) -> str:
        """What the task is called; empty without a task."""
        if isinstance(self.task, OfficialTask) and self.task.title:
            return self.task.title
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
    """The optimizer and the loss; see `train.optimizer` and `train.step`.

    Attributes:
        kind: One of `train.optimizer.OPTIMIZERS`.
        learning_rate: Highest rate.
        schedule: One of `train.optimizer.SCHEDULES`.
        warmup: Steps of linear warm-up.
        weight_decay: Share taken off every weight in each step; with "adamw" times
            the rate, and off no norm.
        clip_norm: Largest global norm of the gradients; 0 for no clipping.
        decay_rate: Exponent of the second moment's decay ("adafactor").
        decay_offset: Step at which the second moment's decay starts ("adafactor").
        parameter_scale: Whether steps are in proportion to what they change
            ("adafactor").
        beta1: Decay of the first moment ("adamw").
        beta2: Decay of the second moment ("adamw").
        epsilon: Added to its root ("adamw").
        z_loss: Factor of the squared log-normaliser.
        accumulate: Microbatches that a batch is split into.
    """

    kind: str = "adafactor"
    learning_rate: float = 0.3
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 1e-5
    clip_norm: float = 0.0
    decay_rate: float = 0.8
    decay_offset: int = 0
    parameter_scale: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    z_loss: float = 1e-4
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.kind not in OPTIMIZERS:
            raise ValueError(
                f"unknown optimizer {self.kind!r}: use one of {list(OPTIMIZERS)}"
            )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a prompt is scored; see `evaluate.score.make_predict`.

    Attributes:
        method: One of `evaluate.score.METHODS`, or "loss": nothing is decoded.
        beams: Sequences that "beam" keeps.
        alpha: Its brevity penalty.
        batch_size: Rows B of a batch.
        hand_written: Text to put before every input of the frozen model: a baseline
            that is scored too, if given.
        num_examples: Examples of the split to score, of each objective on its own;
            None for all.
    """

    method: str = "greedy"
    beams: int = 4
    alpha: float = 0.6
    batch_size: int = 32
    num_examples: int | None = None
    hand_written: str = ""

    def __post_init__(self) -> None:
        if self.hand_written and not self.hand_written.strip():
            raise ValueError(
                f"hand-written prompt {self.hand_written!r} has no words: write some, "
                "or leave it out"
            )
        if self.method not in (*EVALUATION_METHODS, LOSS):
            raise ValueError(
                f"unknown method {self.method!r}: use one of "
                f"{[*EVALUATION_METHODS, LOSS]}"
            )


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run's result.

    Attributes:
        trains: "prompt"; "model" for model tuning without a prompt, the baseline, and
            for pre-training; or "vocabulary" for a SentencePiece model alone.
        model: The frozen model.
        data: The task.
        prompt: How the prompt starts.
        optimizer: How it learns.
        pace: For how long, and how often it is evaluated and saved.
        evaluation: How it is scored.
        tokenizer: The vocabulary, where that is what trains.
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
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trains not in (*MASKS, VOCABULARY):
            raise ValueError(
                f"trains {self.trains!r}: use one of {[*MASKS, VOCABULARY]}"
            )
        by_loss, text = self.evaluation.method == LOSS, self.data.task
        if self.trains != VOCABULARY and isinstance(text, TextTask) and not by_loss:
            raise ValueError(
                f"method {self.evaluation.method!r} for the raw text of task "
                f"{text.name}: it has no answers, use method {LOSS!r}"
            )
        if self.trains == "prompt" and self.model.architecture is not None:
            raise ValueError(
                "a prompt for a new model of random weights: give the name of a model "
                "that is there, or train the model first"
            )
        if self.trains == "model" and self.model.dtype != "float32":
            raise ValueError(
                f"model tuning with {self.model.dtype} weights loses its small steps: "
                "use float32"
            )


CONFIGURABLES = (
    Model,
    OfficialTask,
    OwnTask,
    TextTask,
    Tokenizer,
    T5Config,
    Data,
    PromptStart,
    Optimizer,
    Pace,
    Evaluation,
    Run,
)
"""All that a gin file may name."""
