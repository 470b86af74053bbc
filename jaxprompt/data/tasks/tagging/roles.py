"""Semantic roles of one's own: who does what to whom, a tag for each word."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from jaxprompt.data.read.tagged_words import read_roles
from jaxprompt.data.tasks.tagging.spans import Entity, entity_f1, spans_of
from jaxprompt.data.tasks.tagging.tags import span_task
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

VERB, GOES_ON = "V", "C-"
"""The predicate's own kind; and what a kind begins with that goes on with another."""


def role_task(
    name: str,
    *,
    files: Mapping[str, str | Path],
    kinds: Sequence[str],
    vocabulary: Vocabulary,
) -> Task:
    """Makes a task of files of `data.read.tagged_words`.

    The model reads the words, and behind a separator the predicate. The score is "f1",
    as P-Tuning v2 reports it: of all spans, the predicate's own too. "official_f1"
    stands beside it, as CoNLL's script counts; the two are not comparable.

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> file.
        kinds: Of the spans, as "A0", "C-A1" and "V".
        vocabulary: The backbone's vocabulary.

    Returns:
        The task; see `data.tasks.tagging.tags.tag_task`.

    Raises:
        ValueError: As there; or if the model reads no separator.
    """
    if vocabulary.separator_text is None:
        raise ValueError(
            f"task {name} puts a separator and the predicate behind the words, but "
            "only an encoder-only model reads one: use BERT, RoBERTa or another"
        )
    read = partial(read_roles, kinds=tuple(kinds))
    return span_task(
        name,
        files,
        read,
        kinds,
        vocabulary,
        metrics=(role_f1,),
        example="--gin.OwnRoles.files=\"{'validation': 'dev.txt'}\"",
        has_behind=True,
    )


def role_f1(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> Mapping[str, float]:
    """Returns what `entity_f1` does, and the same by CoNLL's rules as "official_...".

    Those leave the predicate out, and take a span that goes on with an argument, as
    "C-A1" with "A1", for a part of it.

    Source: Carreras and Marquez 2005, sec. 3.1 (aclanthology.org/W05-0620), and its
    srl-eval.pl.
    """
    true, found = (
        {(row, one) for row, tags in enumerate(rows) for one in arguments_of(tags)}
        for rows in (targets, predictions)
    )
    right = len(true & found)
    official = {
        "official_precision": 100 * right / max(len(found), 1),
        "official_recall": 100 * right / max(len(true), 1),
        "official_f1": 200 * right / max(len(true) + len(found), 1),
    }
    return {**entity_f1(targets, predictions), **official}


def arguments_of(tags: Sequence[str]) -> Iterator[tuple[str, tuple[Entity, ...]]]:
    """Yields the arguments of a sentence: the kind of each, and its spans."""
    arguments: list[tuple[str, list[Entity]]] = []
    for span in spans_of(tags):
        begun = [spans for kind, spans in arguments if span.kind == GOES_ON + kind]
        if begun:
            begun[-1].append(span)
        else:
            arguments.append((span.kind, [span]))
    for kind, spans in arguments:
        if kind != VERB:
            yield kind, tuple(spans)
