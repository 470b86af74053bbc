"""A whole run: its parts, and which of them fit together."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jaxprompt.config.settings import (
    LOSS,
    WORDS,
    Data,
    Evaluation,
    HeadStart,
    Model,
    Optimizer,
    PromptStart,
    Tokenizer,
)
from jaxprompt.data.tasks.answers.kinds import KINDS
from jaxprompt.train.pace import Pace

if TYPE_CHECKING:
    from jaxprompt.config.tasks import AnyTask
    from jaxprompt.data.tasks.task import Task
    from jaxprompt.data.vocabulary.vocabulary import Vocabulary

VOCABULARY = "vocabulary"
"""What a run trains that makes a SentencePiece model, and no weights."""

MOST_SEEDS = 1000
"""Of one run: more are a slip, which would fill the memory."""

MOST_BATCH_TOKENS = 2**24
"""Of one batch: what more would take, no device has."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run's result.

    Attributes:
        trains: "prompt"; "prompt+head"; "head" for the head alone without a prompt, a
            linear probe; "model" for model tuning without a prompt, the baseline, and
            for pre-training; "model+head" for the same with a head, full tuning; or
            "vocabulary" for a SentencePiece model alone.
        model: The frozen model.
        data: The task.
        prompt: How the prompt starts.
        head: What turns the model's states into answers, and how it starts.
        optimizer: How it learns.
        pace: For how long, and how often it is evaluated and saved.
        evaluation: How it is scored.
        tokenizer: The vocabulary, where that is what trains.
        batch_size: Rows B of a training batch, over all devices; of each member of a
            bank.
        seed: Of the prompt's start, the order of the data and the dropout.
        seeds: Prompts to train at once for each task, from `seed` on: a bank. Each is
            trained as it would be alone, unless a reparametrisation shares a part.
        loggers: Where the curves are told besides metrics.jsonl, in order; names out of
            `train.loggers.LOGGERS`.
    """

    trains: str = "prompt"
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    prompt: PromptStart = field(default_factory=PromptStart)
    head: HeadStart = field(default_factory=HeadStart)
    optimizer: Optimizer = field(default_factory=Optimizer)
    pace: Pace = field(default_factory=lambda: Pace(steps=30_000))
    evaluation: Evaluation = field(default_factory=Evaluation)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    batch_size: int = 32
    seed: int = 0
    seeds: int = 1
    loggers: Sequence[str] = ("tensorboard",)

    def __post_init__(self) -> None:
        from jaxprompt.train.optimizer import MASKS

        if self.trains not in (*MASKS, VOCABULARY):
            raise ValueError(
                f"trains {self.trains!r}: use one of {[*MASKS, VOCABULARY]}"
            )
        self._check_head()
        if self.data.keep_states:
            self._check_kept_states()
        self._check_seeds()
        self._check_sizes()
        self._check_method()
        self._check_model()

    def _check_seeds(self) -> None:
        """Raises ValueError unless the seeds are told apart, and can train together."""
        from jaxprompt.prompts.reparametrise import SHARING

        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise ValueError(f"seeds {self.seeds!r}: a number of prompts, 1 or more")
        if self.seeds > MOST_SEEDS:
            raise ValueError(f"{self.seeds} seeds: use at most {MOST_SEEDS} in one run")
        if not 0 <= self.seed <= 2**32 - self.seeds:
            raise ValueError(
                f"seed {self.seed}, seeds {self.seeds}: use 0 or more, and none from "
                "2**32 on, which JAX would not tell from a smaller one"
            )
        if not self.trains_bank and self.seeds > 1:
            raise ValueError(
                f"{self.seeds} seeds where {self.trains!r} trains: only prompts fit on "
                "one frozen model, so start a run for each seed"
            )
        if self.prompt.reparametrise in SHARING and self.seeds > 1:
            raise ValueError(
                f"{self.seeds} seeds with reparametrisation "
                f"{self.prompt.reparametrise!r}, of which all members share a part: "
                "seeds would not be independent, so start a run for each"
            )

    def _check_sizes(self) -> None:
        """Raises ValueError if a batch of training or evaluation is out of bounds."""
        data, evaluation = self.data, self.evaluation
        texts = max((task.texts for task in data.tasks), default=1)
        longest = texts * (data.input_length + data.target_length)
        _check_batch("training", self.batch_size, 1, longest)
        _check_batch(
            "evaluation",
            evaluation.batch_size,
            evaluation.beams if evaluation.method == "beam" else 1,
            texts
            * (data.input_length + (evaluation.decode_length or data.target_length)),
        )

    def _check_method(self) -> None:
        """Raises ValueError unless the method scores what these tasks have."""
        by_loss = self.evaluation.method == LOSS
        if by_loss and self.num_members > 1:
            raise ValueError(
                f"method {LOSS!r} for a bank of {self.num_members} prompts: score "
                "them, as with 'greedy', or train them one by one"
            )
        if by_loss and self.data.few_rows:
            raise ValueError(
                f"method {LOSS!r} with few training rows, which are scored by their "
                "answers: use 'greedy' or 'rank', or all rows"
            )
        text = self.data.task and self.data.task.raw_text
        if self.trains != VOCABULARY and text is not None and not by_loss:
            raise ValueError(
                f"method {self.evaluation.method!r} for the raw text of task "
                f"{text.name}: it has no answers, use method {LOSS!r}"
            )

    def _check_model(self) -> None:
        """Raises ValueError unless what trains can train on a model as this one."""
        if self.trains_bank and self.model.architecture is not None:
            raise ValueError(
                "a prompt for a new model of random weights: give the name of a model "
                "that is there, or train the model first"
            )
        if self.tunes_model and self.model.dtype != "float32":
            raise ValueError(
                f"model tuning with {self.model.dtype} weights loses its small steps: "
                "use float32"
            )
        if self.tunes_model and self.model.quantise != "none":
            raise ValueError(
                f"model tuning with {self.model.quantise} weights, which cannot take "
                "small steps: use quantise 'none', or train a prompt"
            )

    def _check_head(self) -> None:
        """Raises ValueError unless the head can be what trains, or be left as it is."""
        has_weights = self.head.has_weights
        if has_weights and "head" not in self.trains:
            raise ValueError(
                f"trains {self.trains!r}, but the head of {self.head.kind} starts with "
                "random weights: set --gin.TRAINS=prompt+head, 'model+head', or "
                "'head' for it alone"
            )
        if not has_weights and "head" in self.trains:
            raise ValueError(
                f"trains {self.trains!r}, but a head of {self.head.kind} has no "
                "weights: set --gin.HEAD=classes, or train the 'prompt'"
            )
        if self.trains == "model+head" and len(self.data.tasks) > 1:
            raise ValueError(
                f"trains 'model+head' on {len(self.data.tasks)} tasks: a tuned model "
                "has one head, so start a run for each, as by Sweep.tasks"
            )
        if self.head.file and not has_weights:
            raise ValueError(
                f"HeadStart.file for a head of {self.head.kind}, which has no weights: "
                "leave it out"
            )
        if self.data.pack and not KINDS[self.head.kind].packs:
            raise ValueError(
                f"packed rows for a head of {self.head.kind}, which reads one example "
                "a row: leave --gin.PACK out"
            )
        in_words = self.head.kind == WORDS
        evaluation = self.evaluation
        if not in_words and (evaluation.hand_written or evaluation.examples_in_input):
            raise ValueError(
                f"hand-written texts and examples in the input ask for words, but the "
                f"head is of {self.head.kind}: leave them out"
            )
        if not in_words and (self.evaluation.gold or self.evaluation.method == LOSS):
            raise ValueError(
                f"Evaluation.gold and method {LOSS!r} are of words, but the head is of "
                f"{self.head.kind}: leave them out"
            )
        if "prompt" in self.trains and not (self.prompt.length or self.prompt.deep):
            raise ValueError(
                "prompt length 0: a trained prompt has 1 or more rows, or keys and "
                "values"
            )

    def _check_kept_states(self) -> None:
        """Raises ValueError unless layers of the model see the same in every epoch."""
        instead = "or leave --gin.KEEP_STATES out"
        if not self.trains_bank:
            raise ValueError(
                f"keep_states where {self.trains!r} trains, and so no state stays the "
                f"same: train a prompt or a head on a frozen model, {instead}"
            )
        if "prompt" in self.trains and self.prompt.length:
            raise ValueError(
                f"keep_states behind {self.prompt.length} soft tokens, which all "
                "layers read: set --gin.PROMPT_LENGTH=0 and keys and values in the "
                f"last layers, as by --gin.DEEP_LAYERS=last:4, {instead}"
            )
        if self.model.dropout:
            raise ValueError(
                f"keep_states with dropout {self.model.dropout} in the model, drawn "
                f"anew in every step: set --gin.DROPOUT=0, {instead}"
            )
        if self.data.pack:
            raise ValueError(
                "keep_states with packed rows, which are others in every epoch: set "
                f"--gin.PACK=False, {instead}"
            )

    @property
    def trains_bank(self) -> bool:
        """Whether members of a bank train, on one frozen model: prompts, heads."""
        from jaxprompt.train.optimizer import MASKS

        return self.trains in MASKS and MASKS[self.trains]["model"]

    @property
    def tunes_model(self) -> bool:
        """Whether the model's own weights train, and no prompt."""
        from jaxprompt.train.optimizer import MASKS

        return self.trains in MASKS and not MASKS[self.trains]["model"]

    @property
    def num_members(self) -> int:
        """How many members train; 1 where it is the model."""
        return self.seeds * len(self.data.tasks) if self.trains_bank else 1

    @property
    def chosen_on(self) -> str:
        """The split that chooses the best step; empty where no step is validated."""
        return self.data.choosing_split if self.pace.evaluate_every else ""

    @property
    def timed(self) -> str:
        """What the seconds of its result are spent on, in words."""
        return "training and validation" if self.chosen_on else "training"

    @property
    def adds_bos(self) -> bool:
        """Whether beginning-of-sequence is put in front of its texts; see `Data`."""
        return self.data.add_bos and not any(t.writes_bos for t in self.data.tasks)

    def load(self, task: "AnyTask", vocabulary: "Vocabulary") -> "Task":
        """Makes a task as this run asks it of a model.

        Args:
            task: Settings of a task, one of the run's or of another.
            vocabulary: The model's vocabulary.

        Raises:
            ValueError: If it does not fit the vocabulary, or the run's head.
        """
        reads = vocabulary if self.data.add_bos else vocabulary.without_bos()
        return task.load(reads).put_to(self.head.kind)

    def without_training(self) -> "Run":
        """Returns the run with all that only training reads as it is by default.

        A trained prompt is used alike by two runs that are equal so.
        """
        start = PromptStart(words=self.prompt.words)  # `inspect` compares with these.
        model = dataclasses.replace(
            self.model, embeddings="random", remat=Model.remat, dropout=0.0
        )
        data = dataclasses.replace(
            self.data,
            cut=True,
            part_rows=None,
            keep_states=False,
            states_in_memory=Data.states_in_memory,
            most_states=Data.most_states,
        )
        if not self.evaluation.examples_in_input:  # Those are of the same few rows.
            data = dataclasses.replace(
                data, shots_per_class=0, train_examples=0, balanced=None
            )
        return dataclasses.replace(
            self,
            model=model,
            data=data,
            prompt=start,
            head=HeadStart(
                kind=self.head.kind,
                pooling=self.head.pooling,
                pooler=self.head.pooler,
                longest=self.head.longest,
            ),
            optimizer=Optimizer(),
            pace=Pace(steps=1),
            tokenizer=Tokenizer(),
            batch_size=1,
            loggers=(),
        )

    def of_member(self, task: str, seed: int) -> "Run":
        """Returns the run of one member alone.

        Args:
            task: Name of its task.
            seed: Its seed.

        Raises:
            ValueError: If no member has such a task.
        """
        tasks = {one.label: one for one in self.data.tasks}
        if task not in tasks:
            raise ValueError(
                f"no task {task!r} in this run: it has {', '.join(tasks) or 'none'}"
            )
        data = dataclasses.replace(self.data, task=tasks[task])
        return dataclasses.replace(self, data=data, seed=seed, seeds=1)


def _check_batch(what: str, rows: int, beams: int, tokens: int) -> None:
    """Raises ValueError for a batch that takes more memory than any device has."""
    if rows * beams * tokens > MOST_BATCH_TOKENS:
        each = f"of {beams} beams " if beams > 1 else ""
        raise ValueError(
            f"{what} batches of {rows} rows {each}and up to {tokens} tokens hold "
            f"{rows * beams * tokens}: use at most {MOST_BATCH_TOKENS}, by a smaller "
            "batch size or shorter texts"
        )
