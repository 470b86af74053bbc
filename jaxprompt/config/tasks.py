"""Tasks as settings, and how each is read: a benchmark's, one's own, raw text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from jaxprompt.config.own_tasks import OwnKind
from jaxprompt.config.self_supervised import SelfSupervisedTask
from jaxprompt.config.task_settings import TaskSettings, tell_words
from jaxprompt.data.official.names import LABEL_WORDS, check_name
from jaxprompt.data.read.text import Text, read_text

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class OfficialTask(TaskSettings):
    """A task of a benchmark, from its official files or from TFDS.

    Attributes:
        name: One of `data.official.names.task_names()`.
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

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The words that stand for the classes; none for free text."""
        legal = LABEL_WORDS.get(self.name) or ()
        return tuple((self.label_words or {}).get(label, label) for label in legal)

    @property
    def label(self) -> str:
        """What results call the task."""
        return self.title or self.name

    @property
    def place(self) -> str:
        """TFDS, or the folder of its files."""
        return (
            "from TFDS" if self.data_dir is None else f"below DATA_DIR {self.data_dir}"
        )

    @property
    def told(self) -> str:
        """The task, its place, its format and its label words."""
        files = f"official files in {self.data_dir}"
        return (
            f"{self.name} from {'TFDS' if self.data_dir is None else files}, texts in "
            f"T5's format{self._without_name}{tell_words(self.label_words)}"
        )

    @property
    def input_format(self) -> str:
        """T5's format."""
        return f"as T5's task {self.name}{self._without_name}"

    @property
    def _without_name(self) -> str:
        return "" if self.keep_task_name else ", without the task's name in front"

    @property
    def leaderboard(self) -> str:
        """Its name in the benchmark."""
        return self.name

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        check_name(self.name)
        # Here alone, for it imports TensorFlow.
        from jaxprompt.data.official.tasks import load_task

        return load_task(
            self.name,
            vocabulary=vocabulary,
            data_dir=self.data_dir,
            keep_task_name=self.keep_task_name,
            label_words=None if self.label_words is None else dict(self.label_words),
        )


@dataclass(frozen=True, kw_only=True)
class QuizTask(TaskSettings):
    """The Japanese quiz; see `data.tasks.quiz.quiz_task`.

    Attributes:
        name: Any name, for the results.
        data_dir: Folder of the official files.
        loss: What a training example has its loss on, "answer" or "full_text".
        separator: Text between question and answer.
    """

    name: str = "jaqket"
    data_dir: str | None = None
    loss: str = "answer"
    separator: str = "[SEP]"

    @property
    def place(self) -> str:
        """The folder of its files."""
        return f"below {self.data_dir}"

    @property
    def told(self) -> str:
        """Its files, its format and its loss."""
        learned = "the answer" if self.loss == "answer" else "the question too"
        return (
            f"the quiz of the AI King competition, official files in {self.data_dir}, "
            f"texts written as 'QUESTION{self.separator}ANSWER', loss on {learned}"
        )

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.quiz import quiz_task

        return quiz_task(
            self.name,
            self.data_dir,
            vocabulary=vocabulary,
            loss=self.loss,
            separator=self.separator,
        )


@dataclass(frozen=True, kw_only=True)
class TextTask(TaskSettings):
    """Raw text to pre-train on; see `data.read.text` and `data.pretraining`.

    Attributes:
        name: Any name, for the results.
        folder: Folder of *.txt files; or one file, of text or of rows (.jsonl).
        objectives: Name -> how often, in proportion; see
            `data.pretraining.passages.text_task`.
        validation_share: Share of the text that is kept for validation.
        passage_words: Most words of a passage.
        row_text: Of a file of rows: template of a row's text.
        passage_rows: Of a file of rows: how many make a passage.
        noise_density: Share of tokens that "span_corruption" masks.
        mean_span: Mean length of its spans, in tokens.
        seed: Of the training noise.
        license: What the made model's card says of its licence, as "apache-2.0".
        languages: The text's languages, for the card, as ["en"].
    """

    name: str = "text"
    folder: str = ""
    objectives: Mapping[str, float] = field(
        default_factory=lambda: {"span_corruption": 1.0}
    )
    validation_share: float = 0.01
    passage_words: int = 60
    row_text: str = "{text}"
    passage_rows: int = 1
    noise_density: float = 0.15
    mean_span: float = 3.0
    seed: int = 0
    license: str = "unknown"
    languages: Sequence[str] = ()

    @property
    def place(self) -> str:
        """The folder of the text."""
        return f"below {self.folder}"

    @property
    def raw_text(self) -> "TextTask":
        """The task itself."""
        return self

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its text is read when a split is first used."""
        from jaxprompt.data.pretraining.passages import text_task

        return text_task(
            self.name,
            self.folder,
            objectives=dict(self.objectives),
            validation_share=self.validation_share,
            passage_words=self.passage_words,
            row_text=self.row_text,
            passage_rows=self.passage_rows,
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
            row_text=self.row_text,
            passage_rows=self.passage_rows,
        )


@dataclass(frozen=True, kw_only=True)
class TaskGroup(TaskSettings):
    """Several tasks of one run: official ones by their names, or any of one's own.

    Attributes:
        name: What results call the group.
        names: Of official tasks; see `OfficialTask`.
        own: Tasks of own files instead, as [@a/OwnTask(), @b/OwnTask()].
        data_dir: Folder of official files; None takes TFDS.
        keep_task_name: As of `OfficialTask`; a model that trains on several tasks needs
            it to tell them apart.
    """

    name: str = "group"
    names: Sequence[str] = ()
    own: Sequence[OwnKind] = ()
    data_dir: str | None = None
    keep_task_name: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.names, str) or bool(self.names) == bool(self.own):
            raise ValueError(
                f"TaskGroup.names is {self.names!r}, own has {len(self.own)} tasks: "
                "list the names of its tasks, as ['boolq', 'cb'], or give own ones"
            )

    @property
    def tasks(self) -> "tuple[AnyTask, ...]":
        """Its tasks, in order."""
        return tuple(self.own) or tuple(
            OfficialTask(
                name=name, data_dir=self.data_dir, keep_task_name=self.keep_task_name
            )
            for name in self.names
        )


AnyTask: TypeAlias = OfficialTask | OwnKind | QuizTask | TextTask | SelfSupervisedTask
"""The settings of one task of any kind."""

TASKS: tuple[type[Any], ...] = get_args(AnyTask)
"""Every kind of task, each a class of settings."""
