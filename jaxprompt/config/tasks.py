"""Tasks as settings, and how each is read: a benchmark's, one's own, raw text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from jaxprompt.bundled import resolve
from jaxprompt.config.self_supervised import SelfSupervisedTask
from jaxprompt.config.task_settings import TaskSettings, tell_words
from jaxprompt.data.official.names import LABEL_WORDS, check_name
from jaxprompt.data.read.table import Table
from jaxprompt.data.read.text import Text, read_text
from jaxprompt.quoting import listed

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
class OwnTask(TaskSettings):
    """A task from JSONL, CSV or TSV files; see `data.tasks.own.file_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split, or one file that `share` splits; a bundled one
            such as "bundled:mini/SST-2/dev.tsv" too, and rows in memory.
        inputs: Template over the fields of a row, as "review: {text}", and for soft
            tokens that stand in it, "{slots:20}".
        target: The field, or template, of the answer.
        labels: From the field's value to the label word, or to several, of which
            training writes the first; None for free text.
        share: Share of the rows in each split, of one file.
        seed: Of that split.
        metrics: Names of t5's metrics.
        cut: Fields of `inputs` in the order in which they are shortened where a text
            is too long; empty for the end of the text.
        word_score: What a label with several words has: the "sum" of their
            probabilities, or the "mean".
        single_token: Whether each label word has to be one token.
        roles: Instead of `inputs`: role -> what it says, as "system" -> "{slots:20}"
            and "user" -> "{text}", written by the model's own chat template; the
            answer is the assistant's turn.
    """

    name: str = ""
    files: str | Mapping[str, str | Table] = field(default_factory=dict)
    inputs: str = ""
    target: str = ""
    labels: Mapping[str, str | Sequence[str]] | None = None
    share: Mapping[str, float] | None = None
    seed: int = 0
    metrics: Sequence[str] = ("accuracy",)
    cut: Sequence[str] = ()
    word_score: Literal["sum", "mean"] = "sum"
    single_token: bool = False
    roles: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.roles and self.inputs:
            raise ValueError(
                f"OwnTask {self.name!r} has inputs {self.inputs!r} and roles "
                f"{listed(self.roles)}: give one of them"
            )

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The words that stand for the classes; none for free text."""
        words = (self.labels or {}).values()
        return tuple(word if isinstance(word, str) else word[0] for word in words)

    @property
    def place(self) -> str:
        """Its files, or that its rows were in memory."""
        files = self.files
        return files if isinstance(files, str) else ", ".join(map(str, files.values()))

    @property
    def told(self) -> str:
        """Its template and its label words."""
        written = f"as {self.inputs!r}"
        if self.roles:
            turns = ", ".join(f"{role} {text!r}" for role, text in self.roles.items())
            written = f"by the model's chat template: {turns}"
        return f"own files, texts written {written}{tell_words(self.labels)}"

    @property
    def input_template(self) -> str:
        """The setting; empty where a chat template writes the inputs."""
        return self.inputs

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.own import file_task
        from jaxprompt.data.vocabulary.chat import ask_by_roles

        inputs = self.inputs
        if self.roles:
            inputs, vocabulary = ask_by_roles(vocabulary, self.roles)
        return file_task(
            self.name,
            files=self._paths(),
            inputs=inputs,
            target=self.target,
            labels=None if self.labels is None else dict(self.labels),
            share=None if self.share is None else dict(self.share),
            seed=self.seed,
            metrics=tuple(self.metrics),
            cut=tuple(self.cut),
            word_score=self.word_score,
            single_token=self.single_token,
            vocabulary=vocabulary,
        )

    def _paths(self) -> str | dict[str, str | Table]:
        if isinstance(self.files, str):
            return resolve(self.files)
        return {
            split: resolve(rows) if isinstance(rows, str) else rows
            for split, rows in self.files.items()
        }


@dataclass(frozen=True, kw_only=True)
class OwnTags(TaskSettings):
    """Sequence labelling from column files; see `data.tasks.tags.tag_task`.

    Attributes:
        name: Any name, for the results.
        files: A column file for each split.
        kinds: Kinds of spans, as "PER".
        word_column: Column of the word, from 0; from the last one if negative.
        tag_column: Column of its tag.
        scheme: How tags begin a span: "bio" always with "B-", "iob1" as CoNLL-2003.
        boundaries: What lines begin with that stand between sentences.
    """

    name: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    kinds: Sequence[str] = ()
    word_column: int = 0
    tag_column: int = -1
    scheme: Literal["bio", "iob1"] = "bio"
    boundaries: Sequence[str] = ("-DOCSTART-",)

    def __post_init__(self) -> None:
        if self.scheme not in ("bio", "iob1"):
            raise ValueError(
                f"OwnTags.scheme {self.scheme!r}: use one of ['bio', 'iob1']"
            )

    @property
    def place(self) -> str:
        """Its files."""
        return ", ".join(self.files.values())

    @property
    def told(self) -> str:
        """Its layout and its kinds."""
        return f"own column files, words tagged with spans of {listed(self.kinds)}"

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.tags import tag_task

        return tag_task(
            self.name,
            files={split: resolve(path) for split, path in self.files.items()},
            kinds=tuple(self.kinds),
            word_column=self.word_column,
            tag_column=self.tag_column,
            scheme=self.scheme,
            boundaries=tuple(self.boundaries),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnRoles(TaskSettings):
    """Semantic role labelling from lines "1 He sleeps ||| B-A0 B-V".

    See `data.tasks.roles.role_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split.
        kinds: Kinds of spans, as "A0", "C-A1" and "V".
    """

    name: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    kinds: Sequence[str] = ()

    @property
    def place(self) -> str:
        """Its files."""
        return ", ".join(self.files.values())

    @property
    def told(self) -> str:
        """Its layout and its kinds."""
        return f"own files, words tagged with roles of {listed(self.kinds)}"

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.roles import role_task

        return role_task(
            self.name,
            files={split: resolve(path) for split, path in self.files.items()},
            kinds=tuple(self.kinds),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnChoices(TaskSettings):
    """Multiple choice from JSONL, CSV or TSV; see `data.tasks.choices.choice_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split.
        choices: The target as in the file -> template of the text that it stands for.
        target: The field of the target.
        wording: Field -> its value -> what is read in its place.
        cut: Fields in the order in which they are shortened where a text is too long.
    """

    name: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    target: str = "label"
    wording: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cut: Sequence[str] = ()

    @property
    def place(self) -> str:
        """Its files."""
        return ", ".join(self.files.values())

    @property
    def told(self) -> str:
        """Its texts."""
        texts = " or ".join(map(repr, self.choices.values()))
        return f"own files, one of the texts {texts}"

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The targets, as in the files."""
        return tuple(self.choices)

    @property
    def texts(self) -> int:
        """One for each choice."""
        return len(self.choices)

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.choices import choice_task

        return choice_task(
            self.name,
            files={split: resolve(path) for split, path in self.files.items()},
            choices=dict(self.choices),
            target=self.target,
            wording=dict(self.wording),
            cut=tuple(self.cut),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnSpans(TaskSettings):
    """Questions whose answers stand in a text; see `data.tasks.questions`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split: SQuAD's own .json, or .jsonl of its rows.
        null_threshold: None where every question has an answer, as in SQuAD 1.1; else
            how much higher no answer has to score than the best one, as 0.0 in 2.0.
        stride: Tokens that a window of a text has in common with the one before it.
        question_length: Most tokens of a question.
    """

    name: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    null_threshold: float | None = None
    stride: int = 128
    question_length: int = 64

    @property
    def place(self) -> str:
        """Its files."""
        return ", ".join(self.files.values())

    @property
    def told(self) -> str:
        """Its layout and its windows."""
        return (
            "own files of questions whose answers stand in a text, read in windows "
            f"with {self.stride} tokens in common"
        )

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.questions import question_task

        return question_task(
            self.name,
            files={split: resolve(path) for split, path in self.files.items()},
            null_threshold=self.null_threshold,
            stride=self.stride,
            question_length=self.question_length,
            vocabulary=vocabulary,
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
    own: Sequence[OwnTask | OwnTags | OwnRoles | OwnChoices | OwnSpans] = ()
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


AnyTask: TypeAlias = (
    OfficialTask
    | OwnTask
    | OwnTags
    | OwnRoles
    | OwnChoices
    | OwnSpans
    | QuizTask
    | TextTask
    | SelfSupervisedTask
)
"""The settings of one task of any kind."""

TASKS: tuple[type[Any], ...] = get_args(AnyTask)
"""Every kind of task, each a class of settings."""
