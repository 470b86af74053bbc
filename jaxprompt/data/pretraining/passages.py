"""Passages of text -> examples to pre-train on: next tokens, denoising, skills."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.data.pretraining.skills import SKILLS, Corpus
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.text import TRAIN, VALIDATION, Text, read_text
from jaxprompt.data.tasks.task import Example, MixedPart, Task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, rowless_note

DENOISING = ("span_corruption", "high_corruption", "prefix_lm", "deshuffle")
"""Objectives on tokens; those of `skills.SKILLS` are on words."""

NEXT_TOKEN = "next_token"
"""The objective of a decoder alone: no input, and the whole passage as target.

Source: Radford et al. 2019, sec. 2 (GPT-2)."""


class Drawn(NamedTuple):
    """What is drawn of a passage.

    Attributes:
        branch: 0 for texts that are the example, else 1 + the place among the task's
            objectives of `DENOISING`.
        seed: int32 [2], of the denoising.
        example: The texts; for denoising its target is the text to denoise.
    """

    branch: int
    seed: np.ndarray
    example: Example


def denoising_of(objectives: Iterable[str]) -> list[str]:
    """Lists the objectives on tokens, in one order."""
    return [name for name in DENOISING if name in objectives]


def text_task(
    name: str,
    folder: str | Path,
    *,
    objectives: Mapping[str, float],
    vocabulary: Vocabulary,
    validation_share: float = 0.01,
    passage_words: int = 60,
    row_text: str = "{text}",
    passage_rows: int = 1,
    noise_density: float = 0.15,
    mean_span: float = 3.0,
    seed: int = 0,
) -> Task:
    """Makes a task of raw text, whose targets the text itself gives.

    A row is a passage. What is asked of it in an epoch, and all noise, is a function
    of the seed, the epoch and the row.

    Args:
        name: Letters, digits, "_", "." and ":".
        folder: Folder of *.txt files, or a file; see `text.read_text`.
        objectives: Names out of `DENOISING` and `skills.SKILLS`, or `NEXT_TOKEN` ->
            how often, in proportion. A passage that does not lend itself to one gets
            another.
        vocabulary: The backbone's vocabulary.
        validation_share: See `text.read_text`.
        passage_words: See `text.read_text`.
        row_text: See `text.read_text`.
        passage_rows: See `text.read_text`.
        noise_density: Share of tokens that "span_corruption" masks.
        mean_span: Mean length of its spans, in tokens.
        seed: Of the training split; the validation split's noise is always the same.

    Returns:
        The task, whose parts are the objectives, each alone. Text is read when a split
        is first used.

    Raises:
        ValueError: If an objective is unknown, the vocabulary lacks the sentinels that
            it needs, or a number is out of range.
    """
    _check(objectives, noise_density, mean_span)
    _check_sentinels(vocabulary, objectives)
    passages = functools.cache(
        functools.partial(
            read_text,
            folder,
            validation_share=validation_share,
            passage_words=passage_words,
            row_text=row_text,
            passage_rows=passage_rows,
        )
    )

    @functools.cache
    def corpus(split: str) -> Corpus:
        found = passages().passages
        return Corpus(found[split], counted=found[TRAIN])

    def make(
        name: str, rates: Mapping[str, float], parts: Mapping[str, MixedPart]
    ) -> Task:
        source = TextSource(name, passages, corpus, rates, seed)
        task = Task(
            name=name,
            source=source,
            vocabulary=vocabulary,
            read_request=_no_request,
            parts=parts,
        )

        def draw(split: str, numbers: Iterable[int]) -> Iterator[Pair]:
            drawn = source.drawn(split, numbers)
            if not denoising_of(rates):
                return (task.encode([x.example])[0] for x in drawn)
            # t5 denoises in TensorFlow, which no other objective needs.
            from jaxprompt.data.official.denoising import denoised

            encoded = (
                (
                    x.branch,
                    x.seed,
                    vocabulary.encode(x.example.inputs),
                    vocabulary.encode(x.example.targets),
                )
                for x in drawn
            )
            made = denoised(
                encoded,
                denoising_of(rates),
                vocabulary,
                noise_density=noise_density,
                mean_span=mean_span,
            )
            return (task.ended(inputs, targets) for inputs, targets in made)

        return dataclasses.replace(task, draw=draw)

    total = sum(objectives.values())
    parts = {
        objective: MixedPart(
            rate / total, make(f"{name}:{objective}", {objective: 1.0}, {})
        )
        for objective, rate in objectives.items()
    }
    return make(name, objectives, parts)


class TextSource(Source):
    """Passages, with an objective and its noise drawn anew in every epoch."""

    def __init__(
        self,
        task_name: str,
        text: Callable[[], Text],
        corpus: Callable[[str], Corpus],
        rates: Mapping[str, float],
        seed: int,
    ):
        """Makes a source.

        Args:
            task_name: For error messages.
            text: Reads the text; called when a split is first used.
            corpus: Split -> its passages.
            rates: Objective -> how often, in proportion.
            seed: Of the training split.
        """
        super().__init__(
            task_name,
            lambda: {
                split: SplitRows(functools.partial(self._fitting, split))
                for split in (TRAIN, VALIDATION)
            },
        )
        self._text = text
        self._corpus = corpus
        self._names = tuple(rates)
        self._denoising = denoising_of(rates)
        self._rates = np.array(list(rates.values()))
        self._seeds = {TRAIN: seed, VALIDATION: 0}

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of every file of text."""
        return self._text().hashes

    def texts(self, split: str) -> list[str]:
        """Returns every passage of a split, as one text each."""
        return [" ".join(passage) for passage in self._corpus(split).passages]

    def drawn(self, split: str, numbers: Iterable[int]) -> Iterator[Drawn]:
        """Draws an example for each number; see `data.tasks.task.Task.pairs`."""
        passages = [row["passage"] for row in self.rows(split)]
        for number in numbers:
            epoch, row = divmod(number, len(passages))
            # At most once round: `_fitting` left a passage that lends itself.
            candidates = (
                self._draw(split, epoch, passages[(row + step) % len(passages)])
                for step in range(len(passages))
            )
            yield next(example for example in candidates if example is not None)

    def _fitting(self, split: str) -> list[Features]:
        """Lists the passages of a split that one objective or another fits."""
        count = len(self._corpus(split).passages)
        rows = list(range(count))
        if set(self._names) <= set(SKILLS):
            rows = [row for row in rows if self._draw(split, 0, row) is not None]
        if not rows:
            raise ValueError(
                f"none of {count} passages of split {split!r} lends itself to "
                f"{', '.join(self._names)}: use other objectives, or more text"
            )
        return [{"passage": row} for row in rows]

    def _draw(self, split: str, epoch: int, passage: int) -> Drawn | None:
        corpus = self._corpus(split)
        rng = np.random.default_rng((self._seeds[split], epoch, passage))
        seed = rng.integers(2**31 - 1, size=2, dtype=np.int32)
        # The least of exponential draws, each at its own rate, comes first in
        # proportion to its rate, and the order of the others is that without it.
        order = np.argsort(rng.exponential(size=len(self._names)) / self._rates)
        for name in (self._names[place] for place in order):
            if name in SKILLS:
                texts = SKILLS[name](passage, corpus, rng)
                if texts is not None:
                    return Drawn(0, seed, Example(*texts))
            elif name == NEXT_TOKEN:
                return Drawn(0, seed, Example("", " ".join(corpus.passages[passage])))
            else:
                sentences = corpus.passages[passage]
                if name == "deshuffle":
                    sentences = [sentences[rng.integers(len(sentences))]]
                branch = 1 + self._denoising.index(name)
                return Drawn(branch, seed, Example("", " ".join(sentences)))
        return None


def _check_sentinels(vocabulary: Vocabulary, objectives: Iterable[str]) -> None:
    last = vocabulary.vocab_size - 1
    spans = {"span_corruption", "high_corruption"} & set(objectives)
    if spans and "extra_id" not in vocabulary.decode([last]):
        raise ValueError(
            f"{', '.join(sorted(spans))} needs sentinels, but the last id {last} of "
            "the vocabulary is none: use a vocabulary with <extra_id_0>, or other "
            "objectives"
        )
    if spans and last in vocabulary.rowless:
        note = rowless_note(vocabulary)
        raise ValueError(f"{', '.join(sorted(spans))} needs sentinels; {note}")


def _check(
    objectives: Mapping[str, float], noise_density: float, mean_span: float
) -> None:
    known: Sequence[str] = [*DENOISING, NEXT_TOKEN, *SKILLS]
    for name, rate in objectives.items():
        if name not in known:
            raise ValueError(f"no objective {name!r}: use {', '.join(known)}")
        if not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            raise ValueError(
                f"objective {name!r} has rate {rate!r}: use a number above 0, or leave "
                "it out"
            )
    if not objectives:
        raise ValueError(f"no objectives: use {', '.join(known)}")
    if not 0 < noise_density < 1 or mean_span < 1:
        raise ValueError(
            f"noise_density {noise_density}, mean_span {mean_span}: use a share "
            "between 0 and 1, and 1 token or more"
        )


def _no_request(row: Row, number: int) -> dict[str, Any]:
    raise ValueError(
        f"{row.where}: a task of raw text has no fields: give {{'inputs': text}}"
    )
