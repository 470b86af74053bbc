"""The head of each kind of answer."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxprompt.data.tasks.answers import choices, spans
from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.tasks.answers.labels import AtMask, Classes
from jaxprompt.data.tasks.answers.tags import Tags
from jaxprompt.heads.choices import ChoicesHead
from jaxprompt.heads.head import Scorer
from jaxprompt.heads.labels import LabelsHead, Pooler, Pooling
from jaxprompt.heads.masked import MaskedHead
from jaxprompt.heads.spans import SpansHead


class Layer(NamedTuple):
    """Settings of a layer that is trained; see `heads.labels` and `heads.spans`."""

    pooling: Pooling = "token"
    pooler: Pooler = "none"
    dropout: float = 0.0
    stddev: float = 0.02
    longest: int = 30


class HeadKind(NamedTuple):
    """A kind of head.

    Attributes:
        make: From the answers of all tasks of a bank, and the settings of the layer.
        made_up: Answers of a task that is not there, with two labels.
    """

    make: Callable[[Sequence[Answers], Layer], Scorer]
    made_up: Callable[[], Answers]


def make_head(answers: Sequence[Answers], layer: Layer) -> Scorer:
    """Makes the head of a bank of tasks whose answers are of one kind.

    Args:
        answers: Of each task.
        layer: Settings of what is trained.

    Raises:
        ValueError: If no head is for all of these.
    """
    return HEADS[answers[0].kind].make(answers, layer)


def _masked(answers: Sequence[Answers], layer: Layer) -> MaskedHead:
    del layer
    first = answers[0]
    words = {(one.word_ids, one.word_score) for one in answers}
    if len(words) > 1:
        raise ValueError(
            "a bank of prompts for tasks of different label words at a mask: start a "
            "run for each"
        )
    return MaskedHead(first.word_ids, first.word_score)


def _labels(answers: Sequence[Answers], layer: Layer) -> LabelsHead:
    """Gives all members the columns of the task with the most labels."""
    most = max(one.columns for one in answers)
    return LabelsHead(answers[0].kind, most, **_settings(layer, LabelsHead))


def _choices(answers: Sequence[Answers], layer: Layer) -> ChoicesHead:
    counts = sorted({one.texts for one in answers})
    if len(counts) > 1:
        raise ValueError(
            f"a bank of prompts for tasks of {counts[0]} and of {counts[-1]} choices: "
            "start a run for each"
        )
    return ChoicesHead(**_settings(layer, ChoicesHead))


def _spans(answers: Sequence[Answers], layer: Layer) -> SpansHead:
    del answers
    return SpansHead(**_settings(layer, SpansHead))


def _settings(layer: Layer, kind: type[LabelsHead]) -> dict[str, Any]:
    """Takes those of the settings that a kind of head has."""
    known = {field.name for field in dataclasses.fields(kind)}
    return {name: x for name, x in layer._asdict().items() if name in known}


HEADS: Mapping[str, HeadKind] = {
    AtMask.kind: HeadKind(_masked, AtMask.made_up),
    Classes.kind: HeadKind(_labels, Classes.made_up),
    Tags.kind: HeadKind(_labels, Tags.made_up),
    choices.Choices.kind: HeadKind(_choices, choices.Choices.made_up),
    spans.Spans.kind: HeadKind(_spans, spans.Spans.made_up),
}
"""Kind of answer -> its head; `data.tasks.answers.kinds` has the names."""
