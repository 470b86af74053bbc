"""Multiple choice of one's own: a text for each label, of which one is right."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxprompt.data.read.files import Row, check_extension, field_text, read_rows
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.template import BOS, Template
from jaxprompt.data.tasks.answers.choices import Choices
from jaxprompt.data.tasks.metrics import LABEL_METRICS
from jaxprompt.data.tasks.own import separator_of
from jaxprompt.data.tasks.task import Example, Task, class_index
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.screen.quoting import listed, quoted


def choice_task(
    name: str,
    *,
    files: Mapping[str, str | Path],
    choices: Mapping[str, str],
    target: str,
    vocabulary: Vocabulary,
    wording: Mapping[str, Mapping[str, str]] | None = None,
    cut: Sequence[str] = (),
) -> Task:
    """Makes a task of one's own files whose rows hold the texts to choose from.

    Example:
        ```python
        choice_task(
            "copa",
            files={"train": "COPA/train.jsonl"},
            choices={
                "0": "{premise} {question}{sep:1}{choice1}",
                "1": "{premise} {question}{sep:1}{choice2}",
            },
            wording={"question": {"cause": "because", "effect": "so"}},
            target="label",
            vocabulary=vocabulary,
        )
        ```

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> file (.jsonl, .csv or .tsv).
        choices: The target as in the file -> template of the text that it stands for,
            in the order of the answers; see `data.read.template.Template`.
        target: The field of the target.
        vocabulary: The backbone's vocabulary.
        wording: Field -> its value -> what is read in its place.
        cut: Fields in the order in which they are shortened where a text is too long.

    Returns:
        The task, scored by accuracy. A split's file is looked for, and its rows are
        validated, when the split is first used: without any file the task still answers
        requests.

    Raises:
        ValueError: If an argument or, later, a row is malformed.
    """
    if len(choices) < 2:
        raise ValueError(
            f"choices of task {name}: {listed(choices) or 'none'}: give texts for "
            "two or more, as {'0': '{choice1}', '1': '{choice2}'}"
        )
    choices = {str(label): text for label, text in choices.items()}
    templates = _templates(choices, cut)
    fields = dict.fromkeys(name for one in templates.values() for name in one.fields)
    wording = {
        name: {str(value): text for value, text in words.items()}
        for name, words in (wording or {}).items()
    }
    unknown = [name for name in wording if name not in fields]
    if unknown:
        raise ValueError(
            f"wording has {listed(unknown)}, but the choices have the fields "
            f"{listed(fields)}: name one of them"
        )
    marks = {}
    if any("sep" in template.marks for template in templates.values()):
        marks = {"sep": separator_of(vocabulary)}
    paths = {split: Path(path) for split, path in files.items()}
    for path in paths.values():
        check_extension(path)
    labels = tuple(choices)
    format_ = _Format(paths, templates, target, wording, marks)
    return Task(
        name=name,
        source=Source(name, format_.find),
        vocabulary=vocabulary,
        read_request=format_.read_request,
        labels=labels,
        write=format_.write,
        compare=class_index(labels),
        metrics=(LABEL_METRICS["accuracy"](len(labels)),),
        start_words=labels,
        answers=Choices(labels),
        own_fields=tuple(fields),
    )


def _templates(choices: Mapping[str, str], cut: Sequence[str]) -> dict[str, Template]:
    """Parses the text of each choice, of which those of its fields are cut first."""
    found, unused = {}, {*cut}
    for label, text in choices.items():
        template = Template(text)
        if template.soft_slots or {"mask", BOS} & {*template.marks}:
            raise ValueError(
                f"template {text!r} of a choice has soft tokens, a mask or "
                "beginning-of-sequence: these lead every text, and a head reads it, so "
                "leave them out"
            )
        own = [names for names in cut if {*names.split("+")} <= {*template.fields}]
        unused -= {*own}
        found[label] = Template(text, own)
    if unused:
        raise ValueError(
            f"the order of truncation has {listed(sorted(unused))}, which no choice "
            f"has: name fields of {listed(choices.values())}"
        )
    return found


@dataclasses.dataclass(frozen=True)
class _Format:
    """The files of a task, and how a row becomes its texts."""

    paths: Mapping[str, Path]
    templates: Mapping[str, Template]
    target: str
    wording: Mapping[str, Mapping[str, str]]
    marks: Mapping[str, str]

    def find(self) -> dict[str, SplitRows]:
        if not self.paths:
            raise ValueError(
                "files is empty: name a file for each split, as "
                "--gin.OwnChoices.files=\"{'validation': 'rows.jsonl'}\""
            )
        return {split: self._rows(path) for split, path in self.paths.items()}

    def _rows(self, path: Path) -> SplitRows:
        read = functools.cache(lambda: read_rows(path))

        def rows() -> list[Features]:
            return [
                {**self.read_request(row, number), "targets": self._target(row)}
                for number, row in enumerate(read())
            ]

        return SplitRows(rows, path, lambda: [row.where for row in read()])

    def _target(self, row: Row) -> str:
        value = field_text(row, self.target)
        if value not in self.templates:
            raise ValueError(
                f"{row.where}: {self.target} {quoted(value)} is not one of "
                f"{listed(self.templates)}"
            )
        return value

    def read_request(self, row: Row, number: int) -> Features:
        names = {name for one in self.templates.values() for name in one.fields}
        fields = {name: self._text(row, name) for name in sorted(names)}
        return {"fields": fields, "targets": "", "idx": number}

    def _text(self, row: Row, name: str) -> str:
        text = field_text(row, name)
        words = self.wording.get(name)
        if words is None:
            return text
        if text not in words:
            raise ValueError(
                f"{row.where}: {name} {quoted(text)} is not one of {listed(words)}, "
                "for which there are words"
            )
        return words[text]

    def write(self, rows: Sequence[Features]) -> list[Example]:
        examples = []
        for row in rows:
            choices = tuple(
                _written(template, row["fields"], self.marks)
                for template in self.templates.values()
            )
            shown = "\n".join(choice.inputs for choice in choices)
            examples.append(Example(shown, row["targets"], choices=choices))
        return examples


def _written(
    template: Template, fields: Mapping[str, str], marks: Mapping[str, str]
) -> Example:
    pieces = tuple(template.pieces(fields, marks))
    text = "".join(piece.text for piece in pieces)
    return Example(text, "", () if template.is_plain else pieces)
