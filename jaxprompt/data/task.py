"""A task: rows of text to text, tokenised for one backbone, with its metrics."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data import files, glue, official, qa, sources, superglue
from jaxprompt.data.libraries import seqio, tf
from jaxprompt.data.vocabulary import decode, is_causal, rowless
from jaxprompt.data.writing import as_written

OFFICIAL_TASKS: dict[str, official.Spec] = {
    **glue.TASKS,
    **superglue.TASKS,
    **qa.TASKS,
}

START_WORDS = {
    "record": ("commonsense", "reasoning", "reading", "comprehension"),
    "wsc": ("commonsense", "pronoun", "resolution"),
    "stsb": ("0.0", "1.0", "2.0", "3.0", "4.0", "5.0"),
}
"""Task without label words -> words for class-label initialisation.

Source: Lester et al. 2021 (arXiv:2104.08691), on initialisation for ReCoRD and WSC. For
STS-B, the scores that bound its range and divide it.
"""


class Part(NamedTuple):
    """One of the tasks that a task mixes.

    Attributes:
        rate: Its share of the examples; 1 in sum.
        task: The part alone.
    """

    rate: float
    task: "Task"


class InWords(NamedTuple):
    """How a task is put to a frozen model in words, where its own texts will not do.

    Attributes:
        task: The same rows: their inputs as a hand-written prompt asks for the answer,
            their targets the answer, and a prediction compared as what is extracted
            from it.
        ending: Text behind the answer of an example that is shown.
        joint: Text behind the instruction, and behind each example that is shown.
    """

    task: "Task"
    ending: str
    joint: str


@dataclasses.dataclass(frozen=True)
class Task:
    """A task, tokenised but not yet cut to lengths and without soft tokens.

    Attributes:
        name: The task's name.
        seqio_task: Features "inputs" and "targets", each ending in end-of-sequence;
            for a decoder-only model the targets alone.
        source: The rows.
        labels: The legal label words (verbalizers) in class order; None for free text.
        vocabulary: The backbone's vocabulary.
        formats: The first preprocessors: features of a row -> texts.
        read_request: A row to predict, and its number -> features without a label.
        start_words: Words that a prompt may start from: the labels, or where they are
            free text, words of the task.
        parts: Name -> what the task mixes; empty for a task of one kind.
        headline: Metrics whose mean is the score; empty for all.
        in_words: How a hand-written prompt asks; None if no other way.
        targets_are_right: Whether the target of every row is a right answer to it.
    """

    name: str
    seqio_task: seqio.Task
    source: sources.TableSource
    labels: tuple[str, ...] | None
    vocabulary: seqio.Vocabulary
    formats: tuple[Callable[..., Any], ...]
    read_request: Callable[[files.Row, int], dict[str, Any]]
    start_words: tuple[str, ...] = ()
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    headline: tuple[str, ...] = ()
    in_words: InWords | None = None
    targets_are_right: bool = True

    @property
    def asked_in_words(self) -> "Task":
        """The task as a hand-written prompt asks it."""
        return self.in_words.task if self.in_words else self

    @property
    def causal(self) -> bool:
        """Whether it is tokenised for a decoder-only model."""
        return is_causal(self.vocabulary)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there."""
        return tuple(self.source.splits)

    def check_split(self, split: str) -> None:
        """Checks that a split is there, and reads no row of it.

        Raises:
            ValueError: If the task has no such split.
            FileNotFoundError: If the split's file is missing.
        """
        self.source.check(split)

    def num_examples(self, split: str) -> int:
        """Returns the rows of a split; reads and validates all of them."""
        return self.source.num_input_examples(split)

    def check_labelled(self, split: str) -> None:
        """Raises ValueError if rows of the split have no label, as official tests."""
        columns = self.source.columns(split)
        label, answers = columns.get("label"), columns.get("answers")
        missing = label is not None and (label.numpy() == official.UNLABELLED).any()
        if isinstance(answers, tf.RaggedTensor):
            missing = missing or (answers.row_lengths().numpy() == 0).any()
        if missing:
            raise ValueError(
                f"split {split!r} of task {self.name} has no labels: train and "
                "evaluate on another split, or predict"
            )

    def check_tokens(self, split: str) -> None:
        """Raises ValueError if a text holds a token without a row in the model's table.

        Only where the vocabulary has such tokens are the texts of the split read.
        """
        if not rowless(self.vocabulary):
            return
        rows = tf.data.Dataset.range(self.num_examples(split))
        examples: Any = self.source.select(split, rows)
        for preprocess in self.formats:
            examples = preprocess(examples)
        for number, example in enumerate(examples.as_numpy_iterator()):
            where = f"example {number} of split {split!r} of task {self.name}"
            for name in ("inputs", "targets"):
                self.check_text(example[name].decode(), where)

    def check_text(self, text: str, where: str) -> None:
        """Raises ValueError, which says where, if a token of the text has no row."""
        try:
            self.vocabulary.encode(text)
        except ValueError as err:
            raise ValueError(f"{where}: {err}") from err

    def decode(self, ids: Int[np.ndarray, "B L"]) -> list[str]:
        """Turns target ids into texts.

        The ids of a label word give this word, even where the vocabulary lacks a
        piece of it and would write it otherwise.

        Args:
            ids: Target ids; what follows the first end-of-sequence does not count.

        Returns:
            One text per row.
        """
        labels = self.labels or ()
        written = decode(self.vocabulary, [self._with_eos(word) for word in labels])
        words = dict(zip(written, labels, strict=True))
        return [words.get(text, text) for text in decode(self.vocabulary, ids)]

    def written(self, text: str) -> str | None:
        """Returns a target as it reads where a model answers every token of it.

        None if the vocabulary lacks some of its characters, so that no answer can
        equal it. A label word is itself, however it is written.
        """
        if text in (self.labels or ()):
            return text
        return as_written(self.vocabulary, text)

    def label_ids(self, length: int) -> np.ndarray:
        """Tokenises the label words.

        Args:
            length: Target length L in tokens.

        Returns:
            int32 [C, L]: each label, end-of-sequence, then 0.

        Raises:
            ValueError: If the task has no labels, one does not fit, or the vocabulary
                does not tell two apart.
        """
        if self.labels is None:
            raise ValueError(f"task {self.name} is free text: it has no label words")
        rows = np.zeros((len(self.labels), length), np.int32)
        for row, label in zip(rows, self.labels, strict=True):
            ids = self._with_eos(label)
            if len(ids) > length:
                raise ValueError(
                    f"label {label!r} takes {len(ids)} tokens with end-of-sequence, "
                    f"but the target length is {length}: use at least {len(ids)}"
                )
            row[: len(ids)] = ids
        written = {*decode(self.vocabulary, rows)}
        if min(len(written), len(np.unique(rows, axis=0))) < len(rows):
            raise ValueError(
                f"labels {', '.join(self.labels)} of task {self.name} are not told "
                "apart by the vocabulary: use other label words"
            )
        return rows

    def _with_eos(self, text: str) -> list[int]:
        eos_id: Any = self.vocabulary.eos_id
        return [*self.vocabulary.encode(text), eos_id]


def make_task(
    name: str,
    source: sources.TableSource,
    *,
    vocabulary: seqio.Vocabulary,
    read_request: Callable[[files.Row, int], dict[str, Any]],
    labels: Sequence[str] | None = None,
    formats: Sequence[Callable[..., Any]] = (),
    postprocess_fn: Callable[..., Any] | None = None,
    metric_fns: Sequence[Callable[..., Any]] = (),
    token_formats: Sequence[Callable[..., Any]] = (),
    start_words: Sequence[str] = (),
    parts: Mapping[str, Part] | None = None,
    targets_are_right: bool = True,
) -> Task:
    """Puts a task together: format, tokenise, append end-of-sequence.

    Args:
        name: Letters, digits, "_", "." and ":".
        source: The rows.
        vocabulary: The backbone's vocabulary.
        read_request: See `Task`.
        labels: The legal label words in class order; None for free text.
        formats: Preprocessors from features to the texts "inputs" and "targets".
        postprocess_fn: Text -> what the metrics compare; by default the text.
        metric_fns: Functions (targets, predictions) -> scores.
        token_formats: Preprocessors of what is tokenised, before end-of-sequence.
        start_words: See `Task`; by default the labels.
        parts: See `Task`.
        targets_are_right: See `Task`.

    Returns:
        The task; it is not registered with seqio, so names never clash.

    Raises:
        ValueError: If the name has other characters.
    """
    if not re.fullmatch(r"[\w.:]+", name):
        raise ValueError(f'task name {name!r}: use letters, digits, "_", "." and ":"')
    # A decoder goes on from its input, which therefore does not end.
    causal = is_causal(vocabulary)
    inputs = seqio.Feature(vocabulary=vocabulary, add_eos=not causal)
    targets = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    seqio_task = seqio.Task(
        name,
        source,
        output_features={"inputs": inputs, "targets": targets},
        preprocessors=[
            *formats,
            seqio.preprocessors.tokenize,
            *token_formats,
            seqio.preprocessors.append_eos,
        ],
        postprocess_fn=postprocess_fn,
        metric_fns=list(metric_fns),
        # The source shuffles all rows by itself.
        shuffle_buffer_size=None,
    )
    return Task(
        name=name,
        seqio_task=seqio_task,
        source=source,
        labels=None if labels is None else tuple(labels),
        vocabulary=vocabulary,
        formats=tuple(formats),
        read_request=read_request,
        start_words=tuple(start_words or labels or ()),
        parts=parts or {},
        targets_are_right=targets_are_right,
    )


def load_task(
    name: str,
    *,
    vocabulary: seqio.Vocabulary,
    data_dir: str | Path | None = None,
    keep_task_name: bool = False,
    label_words: Mapping[str, str] | None = None,
) -> Task:
    """Makes an official task in t5's text-to-text format.

    A split's file is looked for, and its rows are validated, when the split is first
    used: without any file the task still answers requests.

    Args:
        name: One of `task_names()`.
        vocabulary: The backbone's vocabulary.
        data_dir: Folder of the official files; None for TFDS.
        keep_task_name: Whether the inputs start with the task's name, as T5 was
            trained. Prompt tuning drops it: the prompt has to say what to do.
        label_words: Label of t5's format -> the word that stands for it (verbalizer),
            where the model knows a better one; every label needs a word of its own.

    Returns:
        The task; the same examples from TFDS and from files.

    Raises:
        ValueError: If there is no such task, or the label words are not of its labels.

    Source: no task name in the input: Lester et al. 2021, sec. 3 (arXiv:2104.08691).
    """
    if name not in OFFICIAL_TASKS:
        raise ValueError(f"no task {name!r}: known are {', '.join(task_names())}")
    spec = OFFICIAL_TASKS[name]
    labels, formats = spec.label_words, spec.formats(keep_task_name)
    postprocess_fn = spec.postprocess_fn
    if label_words is not None:
        if labels is None:
            raise ValueError(
                f"label words {dict(label_words)} of task {name}: its answers are free "
                "text, so leave label_words out"
            )
        words = _words_of(labels, label_words, name)
        formats = [*formats, _verbalize(labels, words)]
        label_of = dict(zip(words, labels, strict=True))
        postprocess_fn = functools.partial(_of_word, spec.postprocess_fn, label_of)
        labels = words
    return make_task(
        name,
        spec.source(data_dir),
        vocabulary=vocabulary,
        labels=labels,
        formats=formats,
        read_request=spec.read_request,
        postprocess_fn=postprocess_fn,
        metric_fns=spec.metric_fns,
        start_words=START_WORDS.get(name, ()),
        targets_are_right=spec.targets_are_right,
    )


def _words_of(
    labels: tuple[str, ...], label_words: Mapping[str, str], name: str
) -> tuple[str, ...]:
    words = tuple(label_words.get(label, "") for label in labels)
    if set(label_words) != set(labels) or len({*words, ""}) <= len(labels):
        raise ValueError(
            f"label words {dict(label_words)} of task {name}: give each of its labels "
            f"{', '.join(labels)} a word of its own"
        )
    return words


def _of_word(
    postprocess_fn: Callable[..., Any],
    label_of: Mapping[str, str],
    text: str,
    **example: Any,
) -> Any:
    """Postprocesses the label that a word stands for; no label is "", none at all."""
    return postprocess_fn(label_of.get(text, ""), **example)


def _verbalize(
    labels: tuple[str, ...], words: tuple[str, ...]
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Makes the step that writes a label's word; other targets stay as they are."""

    def verbalize(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        is_label = tf.equal(features["targets"], labels)
        place = tf.argmax(tf.cast(is_label, tf.int32))
        word = tf.where(
            tf.reduce_any(is_label), tf.gather(words, place), features["targets"]
        )
        return {**features, "targets": word}

    return lambda dataset: dataset.map(verbalize)


def task_names() -> tuple[str, ...]:
    """Returns the names that `load_task` knows."""
    return tuple(sorted(OFFICIAL_TASKS))
