"""Own data: rows of a file, or in memory, become a task, by templates over fields."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from jaxprompt.data.read.files import (
    Row,
    check_extension,
    field_text,
    read_rows,
)
from jaxprompt.data.read.shares import check_share, split_of_row, splits_by_label
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.table import Table
from jaxprompt.data.read.template import BOS, Template
from jaxprompt.data.tasks.metrics import (
    LABEL_METRICS,
    METRICS,
    OF_NUMBERS,
    OF_SENTENCES,
    OF_SEVERAL,
    Metric,
    number_of,
    of_nearest,
)
from jaxprompt.data.tasks.task import (
    Example,
    Task,
    class_index,
    texts_as_they_are,
)
from jaxprompt.data.tasks.verbalizer import Score, make_verbalizer, words_of
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.data.vocabulary.writing import as_written, mask_of
from jaxprompt.screen.quoting import listed, quoted

Rows: TypeAlias = str | Path | Table
"""A file of rows, or rows in memory."""


def file_task(
    name: str,
    *,
    files: Rows | Mapping[str, Rows],
    inputs: str,
    target: str,
    vocabulary: Vocabulary,
    labels: Mapping[str, str | Sequence[str]] | None = None,
    share: Mapping[str, float] | None = None,
    stratify: bool = False,
    seed: int = 0,
    metrics: Sequence[str] = ("accuracy",),
    cut: Sequence[str] = (),
    word_score: Score = "sum",
    single_token: bool = False,
) -> Task:
    """Makes a task of one's own files, or of rows in memory.

    Example:
        ```python
        file_task(
            "reviews",
            files="reviews.csv",
            share={"train": 0.9, "validation": 0.1},
            inputs="review: {text}",
            target="stars",
            labels={"1": "bad", "5": "good"},
            vocabulary=vocabulary,
        )
        ```

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> file (.jsonl, .csv or .tsv) or rows in memory; or one of these,
            which is the split "train" or is divided by `share`.
        inputs: Template of the input text: "{field}" stands for a field's value, and
            "{slots:20}" for soft tokens; see `data.read.template.Template`.
        target: A field's name, or a template, of the target. Where the field is a list
            of texts, each is a right answer, and the first is what training writes.
        vocabulary: The backbone's vocabulary.
        labels: The target as in the file -> label word, or several, of which the first
            is what training writes; JSON's true and false are "true" and "false".
            Without it the target itself is the target text.
        share: Split -> share of the rows, 1 in sum. A row's split depends on its
            number and the seed alone, so rows that are added move no others.
        stratify: Whether each split gets its share of every label instead, to a row:
            rows that are added then move others.
        seed: Seed of that division.
        metrics: Names out of `LABEL_METRICS` with labels, `METRICS` without. A target
            that is free text is compared as the vocabulary writes it, so that an
            answer with every token right is right; see `writing.as_written`.
        cut: Fields of the input text in the order in which they are shortened where it
            is too long; see `data.read.template.Template`.
        word_score: What a label with several words has, the "sum" of their
            probabilities or the "mean".
        single_token: Whether each label word has to be one token.

    A mask in the template stands for the answer. T5 answers with its sentinel and then
    the word, as in its pre-training. A decoder-only model has no mask: it writes the
    answer behind the text, with the space that stands before the mask.

    A decoder's beginning-of-sequence stands in front of every text where its tokenizer
    puts it there, behind the soft tokens that lead; where the template has its own,
    as "{bos:1}{slots:20}{text}" has, it stands there alone.

    Returns:
        The task. A split's file is looked for, and its rows are validated, when the
        split is first used: without any file the task still answers requests.

    Raises:
        ValueError: If an argument or, later, a row is malformed.
    """
    template = Template(inputs, cut)
    answer = Template(target if "{" in target else f"{{{target}}}")
    if answer.soft_slots or answer.marks:
        raise ValueError(
            f"template {target!r} of a target has soft tokens or marks: an answer has "
            "none, so leave them out"
        )
    at_mask = "mask" in template.marks
    writes_behind = at_mask and vocabulary.causal
    space = " " if writes_behind and template.has_space_before_mask else ""
    if writes_behind:
        template = template.without_mask()
    verbalizer, spaced = None, {}
    if labels is not None:
        spaced = {str(k): _spaced(words_of(w), space) for k, w in labels.items()}
        verbalizer = make_verbalizer(spaced, word_score)
        if single_token:
            verbalizer.check_single(vocabulary, name)
    marks = {name: _MARKS[name](vocabulary) for name in template.marks}
    if BOS in marks or (vocabulary.bos_text or "{") in inputs:
        vocabulary = vocabulary.without_bos()
    row_format = _RowFormat(
        template,
        answer,
        marks,
        None if labels is None else {key: words[0] for key, words in spaced.items()},
        space,
        next((name for name in metrics if name in OF_NUMBERS), None),
    )
    words = None if verbalizer is None else verbalizer.labels
    scored = (
        free_text_metrics(metrics, vocabulary)
        if words is None
        else _label_metrics(metrics, words)
    )
    if stratify and (share is None or labels is None):
        raise ValueError(
            "stratify gives each split of one file its share of every label: give "
            f"{'labels' if labels is None else 'share'} too, or leave it out"
        )
    reads_sentinel = at_mask and not vocabulary.causal and vocabulary.frame is None
    return Task(
        name=name,
        source=Source(name, _finder(files, row_format, share, stratify, seed)),
        vocabulary=vocabulary,
        read_request=row_format.read_request,
        write=row_format.write,
        labels=words,
        compare=_answers if words is None else class_index(words),
        metrics=tuple(scored),
        start_words=words or template.words,
        template=template,
        verbalizer=verbalizer,
        opening=mask_of(vocabulary) if reads_sentinel else "",
    )


def _spaced(words: Sequence[str], space: str) -> tuple[str, ...]:
    """Puts a space before words that do not begin with one."""
    return tuple(word if word.startswith(" ") else space + word for word in words)


def words_as_written(
    task: Task, labels: Mapping[str, str | Sequence[str]]
) -> dict[str, str]:
    """Returns label as in a file -> the word that the task writes for it.

    Behind a decoder's text it begins with a space; several labels may have one word.
    """
    classes = dict.fromkeys(map(words_of, labels.values()))
    written = dict(zip(classes, task.labels or (), strict=True))
    return {label: written[words_of(words)] for label, words in labels.items()}


def separator_of(vocabulary: Vocabulary) -> str:
    """Returns the text of what an encoder-only model reads between two texts.

    Raises:
        ValueError: If the model reads nothing there.
    """
    if vocabulary.separator_text is None:
        raise ValueError(
            "the template has a separator, but only an encoder-only model reads one "
            "between two texts: write words in the place of {sep:1}"
        )
    return vocabulary.separator_text


def bos_of(vocabulary: Vocabulary) -> str:
    """Returns the text of a decoder's beginning-of-sequence.

    Raises:
        ValueError: If its tokenizer puts none in front of a text.
    """
    text = vocabulary.bos_text
    if text is None or vocabulary.encode(text) != [*vocabulary.pieces.bos]:
        raise ValueError(
            "the template has {bos:1}, but the model's tokenizer puts no "
            "beginning-of-sequence in front of a text: leave {bos:1} out"
        )
    return text


_MARKS: Mapping[str, Callable[[Vocabulary], str]] = {
    "mask": mask_of,
    "sep": separator_of,
    BOS: bos_of,
}


_WHERE = "where"
"""Of a row that was read: its file and line."""

_ANSWERS = "answers"
"""Of a row that was read: all right answers, of which its target is the first."""


def _answers(text: str, example: Features, is_target: bool = False) -> Any:
    """Compares texts as they are; a target is the list of all right answers."""
    return example.get(_ANSWERS, [text]) if is_target else text


@dataclasses.dataclass(frozen=True)
class _RowFormat:
    inputs: Template
    target: Template
    marks: Mapping[str, str]
    labels: Mapping[str, str] | None
    space: str = ""
    """What stands before an answer in free text."""

    numbers_for: str | None = None
    """A metric that compares numbers, if any does."""

    def read_request(self, row: Row, number: int) -> Features:
        text = self.inputs.fill(row, self.marks)
        found: Features = {"inputs": text, "targets": "", "idx": number}
        if not self.inputs.is_plain:
            found["fields"] = {n: field_text(row, n) for n in self.inputs.fields}
        return found

    def write(self, rows: Sequence[Features]) -> list[Example]:
        if self.inputs.is_plain:
            return texts_as_they_are(rows)
        return [
            Example(
                row["inputs"],
                row["targets"],
                tuple(self.inputs.pieces(row["fields"], self.marks)),
            )
            for row in rows
        ]

    def read(self, rows: Path | Table) -> list[Features]:
        found = rows.rows if isinstance(rows, Table) else read_rows(rows)
        answers = [self._answers(row) for row in found]
        several = any(len(texts) > 1 for texts in answers)
        return [
            {
                **self.read_request(row, number),
                "targets": texts[0],
                **({_ANSWERS: texts} if several else {}),
                _WHERE: row.where,
            }
            for number, (row, texts) in enumerate(zip(found, answers, strict=True))
        ]

    def _answers(self, row: Row) -> list[str]:
        """Returns all right answers to a row: several where the field is a list."""
        name = self.target.fields[0] if self.target.fields else ""
        several = row.fields.get(name)
        if self.labels is not None or not isinstance(several, list):
            return [self._target(row)]
        if not several:
            raise ValueError(f"{row.where}: field {name!r} is []: give an answer")
        return [
            self._target(row._replace(fields={**row.fields, name: one}))
            for one in several
        ]

    def _target(self, row: Row) -> str:
        value = target_text(self.target, row, self.labels)
        if self.numbers_for and math.isnan(number_of(value)):
            raise ValueError(
                f"{row.where}: the target {quoted(value)} is no number, but metric "
                f"{self.numbers_for!r} compares numbers: mend the row, or use another "
                "metric"
            )
        if self.labels is None:
            return self.space + value
        if value not in self.labels:
            raise ValueError(
                f"{row.where}: label {quoted(value)} is not one of "
                f"{listed(self.labels)}"
            )
        return self.labels[value]


def target_text(target: Template, row: Row, labels: Mapping[str, Any] | None) -> str:
    """Returns the target of a row, as labels call it where they do.

    A data frame makes 1.0 of a 1 whose column misses values, and JSON does not tell the
    two apart: where 1.0 is no label, and 1 is one, it is that.

    Args:
        target: The template of it.
        row: The row.
        labels: By the text of the target; None for free text.
    """
    text = target.fill(row)
    if labels is None or text in labels:
        return text
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in row.fields.items()
    }
    found = target.fill(row._replace(fields=whole))
    return found if found in labels else text


def _finder(
    files: Rows | Mapping[str, Rows],
    row_format: _RowFormat,
    share: Mapping[str, float] | None,
    stratify: bool,
    seed: int,
) -> Callable[[], dict[str, SplitRows]]:
    if isinstance(files, Mapping):
        if share is not None:
            raise ValueError("share divides one file, but files names one per split")
        named = {split: found_rows(rows) for split, rows in files.items()}

        def find() -> dict[str, SplitRows]:
            if not named:
                raise ValueError(
                    "files is empty: name a file for each split, as "
                    "--gin.OwnTask.files=\"{'validation': 'rows.jsonl'}\""
                )
            return {
                split: _split_rows(functools.partial(row_format.read, rows), rows)
                for split, rows in named.items()
            }

        return find
    path, share = found_rows(files), {"train": 1.0} if share is None else share
    check_share(share)
    rows = functools.cache(lambda: row_format.read(path))

    @functools.cache
    def splits() -> list[str]:
        if stratify:
            return splits_by_label([row["targets"] for row in rows()], share, seed)
        return [split_of_row(row["idx"], share, seed) for row in rows()]

    def read(split: str) -> list[Features]:
        divided = zip(rows(), splits(), strict=True)
        mine = [row for row, its_split in divided if its_split == split]
        if not mine:
            raise ValueError(
                f"{path}: none of {len(rows())} rows falls into split {split!r} with "
                f"share {share[split]}: use a larger share"
            )
        return mine

    return lambda: {
        split: _split_rows(functools.partial(read, split), path) for split in share
    }


def found_rows(rows: Rows) -> Path | Table:
    """Returns rows in memory, or a path; ValueError if its extension is not known."""
    if isinstance(rows, Table):
        return rows
    check_extension(Path(rows))
    return Path(rows)


def _split_rows(read: Callable[[], list[Features]], place: Path | Table) -> SplitRows:
    file = None if isinstance(place, Table) else place

    def rows() -> list[Features]:
        return [{name: row[name] for name in row if name != _WHERE} for row in read()]

    return SplitRows(rows, file, lambda: [row[_WHERE] for row in read()])


def free_text_metrics(names: Sequence[str], vocabulary: Vocabulary) -> list[Metric]:
    """Makes the metrics of answers in free text, each of several right ones.

    Args:
        names: Names out of `METRICS`.
        vocabulary: The backbone's, as which a target is compared.

    Raises:
        ValueError: If there is none, or no metric of a name.
    """
    _check_metrics(names, METRICS, "free text")
    return [_of_written(name, vocabulary) for name in names]


def _label_metrics(names: Sequence[str], labels: Sequence[str]) -> list[Metric]:
    _check_metrics(names, LABEL_METRICS, "labels")
    if "f1_score_with_invalid" in names and len(labels) != 2:
        raise ValueError(
            f"f1_score_with_invalid is for 2 labels, not {len(labels)}: use "
            "mean_multiclass_f1"
        )
    return [LABEL_METRICS[name](len(labels)) for name in names]


def _check_metrics(names: Sequence[str], known: Mapping[str, Any], kind: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(
                f"no metric {name!r} for a task with {kind}: use {', '.join(known)}"
            )
    if not names:
        raise ValueError(f"no metrics: use {', '.join(known)}")


def _of_written(name: str, vocabulary: Vocabulary) -> Metric:
    """Makes a metric of texts compare targets as the vocabulary writes them.

    A target that it cannot write stays as it is: no prediction equals it. Of several
    right answers the nearest counts, unless the metric compares with all of them.
    """

    def write(text: str) -> str:
        written = as_written(vocabulary, text)
        return text if written is None else written

    def written(text: str) -> str:
        if name in OF_SENTENCES:
            return "\n".join(map(write, text.split("\n")))
        return write(text)

    metric = METRICS[name] if name in OF_SEVERAL else of_nearest(METRICS[name])

    def compare(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> Any:
        return metric([[*map(written, texts)] for texts in targets], predictions)

    return compare
