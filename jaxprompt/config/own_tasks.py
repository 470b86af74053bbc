"""Tasks of one's own files as settings: texts, tags, roles, choices, spans, chats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jaxprompt.bundled import resolve
from jaxprompt.config.task_settings import TaskSettings, tell_words
from jaxprompt.data.read.table import Table
from jaxprompt.screen.quoting import listed

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Task


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
        stratify: Whether each split gets its share of every label.
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
    stratify: bool = False
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
        if self.inputs and "{" not in self.inputs:
            raise ValueError(
                f"OwnTask {self.name!r}: inputs {self.inputs!r} names no field, so "
                "that all rows would be the same: write {text} for the field text"
            )

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The words that stand for the classes; none for free text."""
        words = (self.labels or {}).values()
        return tuple(word if isinstance(word, str) else word[0] for word in words)

    def with_labels(self, words: Sequence[str]) -> "OwnTask":
        """The task with these label words, which its rows hold as labels too."""
        return replace(self, labels={word: word for word in words})

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

    @property
    def writes_bos(self) -> bool:
        """Whether its template has {bos:1}, or a chat template writes the inputs."""
        return bool(self.roles) or "{bos:" in self.inputs

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.own import file_task
        from jaxprompt.data.vocabulary.chat import ask_by_roles

        inputs = self.inputs
        if self.roles:
            inputs, vocabulary = ask_by_roles(vocabulary, self.roles)
        return file_task(
            self.name,
            files=_resolved(self.files),
            inputs=inputs,
            target=self.target,
            labels=None if self.labels is None else dict(self.labels),
            share=None if self.share is None else dict(self.share),
            stratify=self.stratify,
            seed=self.seed,
            metrics=tuple(self.metrics),
            cut=tuple(self.cut),
            word_score=self.word_score,
            single_token=self.single_token,
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OfFiles(TaskSettings):
    """What tasks with a file for each split have in common.

    Attributes:
        name: Any name, for the results.
        files: A file for each split.
    """

    name: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Its files."""
        return ", ".join(self.files.values())

    @property
    def paths(self) -> dict[str, str]:
        """Its files, of which a bundled one lies in the package."""
        return {split: resolve(path) for split, path in self.files.items()}


@dataclass(frozen=True, kw_only=True)
class OwnTags(OfFiles):
    """Sequence labelling from column files; see `data.tasks.tagging.tags.tag_task`.

    Attributes:
        name: Any name, for the results.
        files: A column file for each split.
        kinds: Kinds of spans, as "PER".
        word_column: Column of the word, from 0; from the last one if negative.
        tag_column: Column of its tag.
        scheme: How tags begin a span: "bio" always with "B-", "iob1" as CoNLL-2003.
        boundaries: What lines begin with that stand between sentences.
        read_at: Token of a word that its tag is read at: the "first", or the "last",
            which a decoder needs to have seen the word.
    """

    kinds: Sequence[str] = ()
    word_column: int = 0
    tag_column: int = -1
    scheme: Literal["bio", "iob1"] = "bio"
    boundaries: Sequence[str] = ("-DOCSTART-",)
    read_at: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        for name, known in (
            ("scheme", ("bio", "iob1")),
            ("read_at", ("first", "last")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"OwnTags.{name} {getattr(self, name)!r}: use one of {[*known]}"
                )

    @property
    def told(self) -> str:
        """Its layout and its kinds."""
        return f"own column files, words tagged with spans of {listed(self.kinds)}"

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.tagging.tags import tag_task

        return tag_task(
            self.name,
            files=self.paths,
            kinds=tuple(self.kinds),
            word_column=self.word_column,
            tag_column=self.tag_column,
            scheme=self.scheme,
            boundaries=tuple(self.boundaries),
            read_at=self.read_at,
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnRoles(OfFiles):
    """Semantic role labelling from lines "1 He sleeps ||| B-A0 B-V".

    See `data.tasks.tagging.roles.role_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split.
        kinds: Kinds of spans, as "A0", "C-A1" and "V".
    """

    kinds: Sequence[str] = ()

    @property
    def told(self) -> str:
        """Its layout and its kinds."""
        return f"own files, words tagged with roles of {listed(self.kinds)}"

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.tagging.roles import role_task

        return role_task(
            self.name,
            files=self.paths,
            kinds=tuple(self.kinds),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnChoices(OfFiles):
    """Multiple choice from JSONL, CSV or TSV; see `data.tasks.choices.choice_task`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split.
        choices: The target as in the file -> template of the text that it stands for.
        target: The field of the target.
        wording: Field -> its value -> what is read in its place.
        cut: Fields in the order in which they are shortened where a text is too long.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    target: str = "label"
    wording: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cut: Sequence[str] = ()

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
            files=self.paths,
            choices=dict(self.choices),
            target=self.target,
            wording=dict(self.wording),
            cut=tuple(self.cut),
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnSpans(OfFiles):
    """Questions whose answers stand in a text; see `data.tasks.questions`.

    Attributes:
        name: Any name, for the results.
        files: A file for each split: SQuAD's own .json, or .jsonl of its rows.
        null_threshold: None where every question has an answer, as in SQuAD 1.1; else
            how much higher no answer has to score than the best one, as 0.0 in 2.0.
        stride: Tokens that a window of a text has in common with the one before it.
        question_length: Most tokens of a question.
    """

    null_threshold: float | None = None
    stride: int = 128
    question_length: int = 64

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
            files=self.paths,
            null_threshold=self.null_threshold,
            stride=self.stride,
            question_length=self.question_length,
            vocabulary=vocabulary,
        )


@dataclass(frozen=True, kw_only=True)
class OwnChats(TaskSettings):
    """Conversations, whose answers a decoder learns; see `data.tasks.chats.chat_task`.

    Attributes:
        name: Any name, for the results.
        files: A .jsonl file for each split, a conversation a line; or one file that
            `share` splits.
        share: Share of the conversations in each split, of one file.
        seed: Of that split.
        messages: The field of its turns: {"role": "user", "content": TEXT} each, or
            ShareGPT's {"from": "human", "value": TEXT}.
        metrics: Names of metrics of free text.
    """

    name: str = ""
    files: str | Mapping[str, str | Table] = field(default_factory=dict)
    share: Mapping[str, float] | None = None
    seed: int = 0
    messages: str = "messages"
    metrics: Sequence[str] = ("rouge",)

    @property
    def place(self) -> str:
        """Its files."""
        files = self.files
        return files if isinstance(files, str) else ", ".join(map(str, files.values()))

    @property
    def writes_bos(self) -> bool:
        """True: the model's chat template does."""
        return True

    @property
    def told(self) -> str:
        """What of a conversation is learned."""
        return (
            "own files of conversations, written by the model's chat template, of "
            "which the answers are learned"
        )

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its files are looked for when a split is first used."""
        from jaxprompt.data.tasks.chats import chat_task

        return chat_task(
            self.name,
            files=_resolved(self.files),
            share=None if self.share is None else dict(self.share),
            seed=self.seed,
            messages=self.messages,
            metrics=tuple(self.metrics),
            vocabulary=vocabulary,
        )


def _resolved(files: str | Mapping[str, Any]) -> Any:
    """Finds bundled files; rows in memory stay as they are."""
    if isinstance(files, str):
        return resolve(files)
    return {
        split: resolve(rows) if isinstance(rows, str) else rows
        for split, rows in files.items()
    }


OwnKind: TypeAlias = OwnTask | OwnTags | OwnRoles | OwnChoices | OwnSpans | OwnChats
"""The settings of a task of one's own files of any kind."""
