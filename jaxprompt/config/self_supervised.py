"""Self-supervised tasks as settings: what text itself asks, to pre-train prompts on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jaxprompt.config.task_settings import TaskSettings, tell_words

if TYPE_CHECKING:
    from jaxprompt.data.pretraining.forms import NextSentence, QuestionForm
    from jaxprompt.data.tasks.task import Task

FORMS = ("next_sentence", "sentence_choice", "multiple_choice", "pseudo_labels")
"""What may be asked of text; see `data.pretraining.forms`."""

_WORDS = {"other": "no", "same": "maybe", "next": "yes"}
"""Label of "next_sentence" -> its word, in the paper."""


@dataclass(frozen=True, kw_only=True)
class SelfSupervisedTask(TaskSettings):
    """Questions that text itself answers; see `data.pretraining.self_supervised`.

    Attributes:
        name: Any name, for the results.
        form: "next_sentence": is {second} beside {first} ("next"), apart in the same
            document ("same") or of another ("other")? "sentence_choice": which of six
            {options} is beside the {query}? "multiple_choice": the same of 2 to 16.
            "pseudo_labels": what did a classifier say of a text? See
            `data.pretraining.pseudo_labels`.
        folder: Folder of .txt and .jsonl files, or one such file. Of "pseudo_labels":
            the .jsonl file of `jaxprompt predict --scores`.
        documents: What of a .txt file is a document, "line" or "file".
        row_text: Template of the text of a .jsonl file's row, each a document.
        inputs: Template over the form's fields, as of `OwnTask`.
        cut: As of `OwnTask`.
        labels: Label of "next_sentence" -> its word; empty for "no", "maybe" and "yes"
            of those that a question may have. Of "pseudo_labels": label of the
            classifier -> its word.
        thresholds: Of "pseudo_labels": label -> probability above which a row is kept.
        options: Of "multiple_choice": numbers of options, each as likely.
        question_words: Most words of a question with options; 0 for the paper's own.
        other_below: Of "next_sentence": share of questions with label "other".
        same_below: The same, with the share of label "same" on top.
        length_ratio: How many times as long as the other one of two sentences may be.
        least_characters: Fewest characters of a sentence in a question.
        least_words: Its fewest words.
        most_words: Its most words; 0 for no bound.
        per_document: Most questions about a document; 0 for one about each sentence.
        validation_share: Share of the documents that are kept for validation.
        seed: Of all that is drawn; that of the run does not change the questions.
    """

    name: str = ""
    form: Literal[
        "next_sentence", "sentence_choice", "multiple_choice", "pseudo_labels"
    ] = "next_sentence"
    folder: str = ""
    documents: Literal["line", "file"] = "line"
    row_text: str = "{text}"
    inputs: str = ""
    cut: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    options: Sequence[int] = tuple(range(2, 17))
    question_words: int = 0
    other_below: float = 1 / 3
    same_below: float = 2 / 3
    length_ratio: float = 100.0
    least_characters: int = 5
    least_words: int = 5
    most_words: int = 0
    per_document: int = 0
    validation_share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(
                f"SelfSupervisedTask.form {self.form!r}: use one of {[*FORMS]}"
            )
        if self.documents not in ("line", "file"):
            raise ValueError(
                f"SelfSupervisedTask.documents {self.documents!r}: use one of "
                "['line', 'file']"
            )
        if self.thresholds and self.form != "pseudo_labels":
            raise ValueError(
                f"thresholds {dict(self.thresholds)} of form {self.form!r}, which no "
                "classifier labels: leave them out"
            )
        if self.form == "pseudo_labels" and not self.labels:
            raise ValueError(
                "form 'pseudo_labels' without labels: give each label of the "
                "classifier its word, as {'negative': 'bad', 'positive': 'good'}"
            )
        if self.labels and self.form in ("sentence_choice", "multiple_choice"):
            raise ValueError(
                f"labels {dict(self.labels)} of form {self.form!r}, whose answers are "
                "the names of its options: leave them out"
            )
        wrong = [n for n in self.options if n not in range(2, 17)]
        if wrong or not self.options:
            raise ValueError(
                f"SelfSupervisedTask.options {[*self.options]}: use whole numbers from "
                "2 to 16"
            )

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The words that stand for the classes; none where options have names."""
        return tuple(self._words.values())

    @property
    def _words(self) -> dict[str, str]:
        """Label -> its word, in class order; none where options have names."""
        if self.labels or self.form != "next_sentence":
            return dict(self.labels)
        return {label: _WORDS[label] for label in self._next_sentence.labels}

    @property
    def _next_sentence(self) -> "NextSentence":
        from jaxprompt.data.pretraining.forms import NextSentence

        return NextSentence(self.other_below, self.same_below, self.length_ratio)

    @property
    def place(self) -> str:
        """The folder of the text."""
        return f"below {self.folder}"

    @property
    def told(self) -> str:
        """Its form, its text, its template and its label words."""
        words = tell_words(self.labels or None)
        return (
            f"self-supervised: {self.form} on the text of "
            f"{self.folder or '(unknown)'}, texts written as {self.inputs!r}{words}"
        )

    @property
    def input_template(self) -> str:
        """The setting."""
        return self.inputs

    def load(self, vocabulary: Any) -> "Task":
        """Makes the task; its text is read when a split is first used."""
        from jaxprompt.data.pretraining.self_supervised import (
            Units,
            self_supervised_task,
        )

        if self.form == "pseudo_labels":
            from jaxprompt.data.pretraining.pseudo_labels import pseudo_label_task

            return pseudo_label_task(
                self.name,
                self.folder,
                inputs=self.inputs,
                labels=dict(self.labels),
                vocabulary=vocabulary,
                least=dict(self.thresholds),
                validation_share=self.validation_share,
                cut=tuple(self.cut),
            )
        form, labels, told = self._form(vocabulary)
        return self_supervised_task(
            self.name,
            self.folder,
            form=form,
            inputs=self.inputs,
            labels=labels,
            vocabulary=vocabulary,
            documents=self.documents,
            row_text=self.row_text,
            units=Units(
                least_characters=self.least_characters,
                least_words=self.least_words,
                most_words=self.most_words,
                per_document=self.per_document,
                validation_share=self.validation_share,
            ),
            cut=tuple(self.cut),
            seed=self.seed,
            told=told,
        )

    def _form(
        self, vocabulary: Any
    ) -> "tuple[QuestionForm, dict[str, str], list[str]]":
        """Returns what is asked, the words of its labels, and what to say of them."""
        from jaxprompt.data.pretraining.forms import MIXES, SIX, Selection
        from jaxprompt.data.pretraining.option_names import option_names

        if self.form == "next_sentence":
            return self._next_sentence, self._words, []
        mixes = {6: SIX}
        if self.form == "multiple_choice":
            mixes = {number: MIXES[number] for number in sorted({*self.options})}
        space = " " if vocabulary.causal else ""  # A decoder goes on from a word.
        names, told = option_names(vocabulary, max(mixes), space)
        selection = Selection(mixes, names, self.question_words)
        return selection, {name: f"{space}{name}" for name in names}, told
