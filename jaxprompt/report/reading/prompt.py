"""Reading a prompt: its norms, drift, nearest words, label words and clusters."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprompt.data.vocabulary.words import word_rows
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.reading.clusters import Cohesion, group_tokens, measure_cohesion
from jaxprompt.report.reading.label_words import LabelWord, trace_label_words
from jaxprompt.report.reading.nearest import (
    SoftToken,
    Table,
    describe_prompt,
    describe_rows,
    name_row,
)
from jaxprompt.report.reading.norms import Norms, measure_norms

_SHOWN = 8
"""Tokens, words or clusters listed in one finding; a long prompt may have many."""


@dataclasses.dataclass(frozen=True)
class WordCluster:
    """Soft tokens that share neighbours; see `clusters.Cluster`.

    Attributes:
        tokens: Their places in the prompt.
        words: (word, tokens near it) of the neighbours that they share.
    """

    tokens: tuple[int, ...]
    words: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptReading:
    """What can be told of a prompt; without its model, of its rows alone.

    Attributes:
        tokens: The soft tokens in order.
        norms: Of the soft tokens.
        metric: How neighbours were found; one of `nearest.METRICS`.
        neighbours: Neighbours of each soft token; 0 without the model.
        vocabulary_norms: Of the words of the vocabulary; None without the model.
        label_words: Where they are among the neighbours.
        cohesion: How alike the neighbours of a token are; None if there is one or none.
        clusters: Soft tokens that share neighbours, the largest first.
    """

    tokens: Sequence[SoftToken]
    norms: Norms
    metric: str = "cosine"
    neighbours: int = 0
    vocabulary_norms: Norms | None = None
    label_words: Sequence[LabelWord] = ()
    cohesion: Cohesion | None = None
    clusters: Sequence[WordCluster] = ()


def read_rows(prompt: Prompt, start: Prompt | None = None) -> PromptReading:
    """Tells what a prompt's rows tell without a model.

    Args:
        prompt: A bank of one.
        start: What its training started from.

    Raises:
        ValueError: As `drift.measure_drift`.
    """
    norms = measure_norms(prompt.soft_rows())
    return PromptReading(tokens=describe_rows(prompt, start), norms=norms)


def read_prompt(
    table: Table,
    prompt: Prompt,
    vocabulary: Any,
    neighbours: int = 5,
    *,
    metric: str = "cosine",
    start: Prompt | None = None,
    label_words: Sequence[str] = (),
    started: Sequence[str] = (),
) -> PromptReading:
    """Compares a prompt with the words of its model's vocabulary.

    Only words are compared: padding, end-of-sequence, the unknown piece, sentinels and
    rows behind the vocabulary are left out; see `data.vocabulary.words`.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        vocabulary: The backbone's vocabulary.
        neighbours: Words for each soft token.
        metric: One of `nearest.METRICS`.
        start: What the prompt's training started from.
        label_words: Words to look for among the neighbours.
        started: Those that the first soft tokens started from, in order, where `start`
            is None.

    Raises:
        ValueError: As `nearest.nearest_ids` and `drift.measure_drift`.
    """
    # Taken from the devices once.
    table = np.asarray(table, np.float32)
    among = word_rows(vocabulary, table.shape[0])
    options: dict[str, Any] = {"metric": metric, "among": among}
    encoded = {word: list(vocabulary.encode(word)) for word in label_words}
    tokens = describe_prompt(
        table, prompt, vocabulary.decode, neighbours, start=start, **options
    )
    ids = np.array([token.ids for token in tokens])
    clusters = [
        WordCluster(
            tokens=cluster.tokens,
            words=tuple(
                (name_row(number, vocabulary.decode), count)
                for number, count in cluster.words
            ),
        )
        for cluster in group_tokens(ids)
    ]
    return PromptReading(
        tokens=tokens,
        norms=measure_norms(prompt.soft_rows()),
        metric=metric,
        neighbours=neighbours,
        vocabulary_norms=measure_norms(table[among]),
        label_words=trace_label_words(
            table,
            prompt,
            {word: ids for word, ids in encoded.items() if ids},
            neighbours,
            start=start,
            started=started,
            **options,
        ),
        cohesion=measure_cohesion(table, ids, **options),
        clusters=clusters,
    )


def findings(reading: PromptReading) -> list[str]:
    """Sums a reading up, for people: a few lines of text."""
    lines = [f"mean norm {reading.norms}"]
    if reading.vocabulary_norms is not None:
        lines[0] += f"; of the vocabulary's words {reading.vocabulary_norms}"
    drifts = [token.drift for token in reading.tokens if token.drift is not None]
    if drifts:
        distance, cosine = np.mean(drifts, axis=0)
        lines.append(
            f"mean distance from the start {distance:.1f}, mean cosine with it "
            f"{cosine:.2f}"
        )
    lines += _tell_label_words(reading.label_words, reading.neighbours)
    if reading.cohesion is not None:
        own, of_random, random = reading.cohesion
        lines.append(
            f"mean cosine between the neighbours of a soft token {own:.2f}; between "
            f"those of a random vector {of_random:.2f}; between random words "
            f"{random:.2f}"
        )
    if reading.neighbours:
        lines += _tell_clusters(reading.clusters)
    return lines


def _tell_label_words(labels: Sequence[LabelWord], neighbours: int) -> list[str]:
    lines = []
    for label in labels:
        best = min(label.ranks)
        if label.near:
            where = f"is near soft tokens {_list(label.near)}"
        else:
            token = label.ranks.index(best)
            where = f"is near none; its best rank is {best}, for soft token {token}"
        lines.append(f"label word {label.word!r} {where}")
    started = sum(len(label.started) for label in labels)
    kept = sum(len(label.kept) for label in labels)
    if started:
        lines.append(
            f"label words persisted: {kept} of {started} soft tokens that started from "
            f"one still have it among their {neighbours} nearest words"
        )
    return lines


def _tell_clusters(clusters: Sequence[WordCluster]) -> list[str]:
    if not clusters:
        return ["no two soft tokens share a neighbour"]
    lines = [
        f"soft tokens {_list(cluster.tokens)} share "
        + _list([f"{word!r} ({count})" for word, count in cluster.words])
        for cluster in clusters[:_SHOWN]
    ]
    if len(clusters) > _SHOWN:
        lines.append(f"and {len(clusters) - _SHOWN} more clusters of soft tokens")
    return lines


def _list(values: Sequence[object]) -> str:
    more = len(values) - _SHOWN
    shown = ", ".join(map(str, values[:_SHOWN]))
    return f"{shown} and {more} more" if more > 0 else shown


def to_json(reading: PromptReading) -> dict[str, Any]:
    """Returns all of a reading as what JSON can hold."""

    def named(value: Any) -> Any:
        return None if value is None else value._asdict()

    return {
        "metric": reading.metric,
        "neighbours": reading.neighbours,
        "norms": named(reading.norms),
        "vocabulary_norms": named(reading.vocabulary_norms),
        "tokens": [
            {
                "norm": token.norm,
                "drift": named(token.drift),
                "words": [
                    {"id": number, "word": word, reading.metric: value}
                    for number, (word, value) in zip(
                        token.ids, token.words, strict=True
                    )
                ],
            }
            for token in reading.tokens
        ],
        "label_words": [
            {**label._asdict(), "kept": label.kept} for label in reading.label_words
        ],
        "cohesion": named(reading.cohesion),
        "clusters": [dataclasses.asdict(cluster) for cluster in reading.clusters],
    }
