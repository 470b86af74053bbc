"""Spans of tagged words, and how many of them an answer finds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Entity(NamedTuple):
    """Words of one kind that belong together, from `start` to `stop`, left out."""

    kind: str
    start: int
    stop: int


def spans_of(tags: Sequence[str]) -> Iterator[Entity]:
    """Yields the spans of a sentence.

    "B-" begins a span, and so does "I-" behind another kind or none: as seqeval reads
    tags, and as CoNLL's own script does.

    Args:
        tags: Of each word, "O", or "B-" or "I-" and a kind.

    Source: seqeval 1.2.2, `get_entities`, without `mode="strict"`.
    """
    kind, start = "", 0
    for place, tag in enumerate((*tags, "O")):
        begins, _, found = tag.partition("-")
        if kind and (begins != "I" or found != kind):
            yield Entity(kind, start, place)
            kind = ""
        if not kind and begins in ("B", "I"):
            kind, start = found, place


def entity_f1(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> Mapping[str, float]:
    """Returns "precision", "recall" and "f1" of whole spans, over all sentences.

    A span is found where kind, start and stop are those of a true one. Without any
    span, on both sides, each is 0.

    Source: Tjong Kim Sang and De Meulder 2003, sec. 3 (arXiv:cs/0306050); the numbers
    are those of seqeval 1.2.2.
    """
    true = {(row, span) for row, tags in enumerate(targets) for span in spans_of(tags)}
    found = {
        (row, span) for row, tags in enumerate(predictions) for span in spans_of(tags)
    }
    right = len(true & found)
    precision = right / max(len(found), 1)
    recall = right / max(len(true), 1)
    f1 = 2 * right / max(len(true) + len(found), 1)
    return {"precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1}
