"""Passages of text -> examples to pre-train on: next tokens, denoising, skills."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.data import sources
from jaxprompt.data.files import Row
from jaxprompt.data.libraries import seqio, tf
from jaxprompt.data.libraries import t5_preprocessors as t5
from jaxprompt.data.skills import SKILLS, Corpus
from jaxprompt.data.task import Part, Task, make_task
from jaxprompt.data.text import TRAIN, VALIDATION, Text, read_text
from jaxprompt.data.vocabulary import rowless, rowless_note

DENOISING = ("span_corruption", "high_corruption", "prefix_lm", "deshuffle")
"""Objectives on tokens; those of `skills.SKILLS` are on words."""

NEXT_TOKEN = "next_token"
"""The objective of a decoder alone: no input, and the whole passage as target.

Source: Radford et al. 2019, sec. 2 (GPT-2)."""

_HIGH_DENSITY, _HIGH_MEAN_SPAN = 0.5, 6.0
"""Of "high_corruption". Source: Raffel et al. 2020, tables 6 and 7 (arXiv:1910.10683)
try 50 %, and longer spans; both make the decoder look at what is left of the input."""


class Example(NamedTuple):
    """What is drawn of a passage.

    Attributes:
        branch: int32; 0 for texts that are the example, else 1 + the place among the
            task's objectives of `DENOISING`.
        seed: int32 [2], of the denoising.
        inputs: The input text; empty for denoising and for the next token.
        targets: The target text, or the text to denoise.
    """

    branch: np.int32
    seed: np.ndarray
    inputs: bytes
    targets: bytes


def text_task(
    name: str,
    folder: str | Path,
    *,
    objectives: Mapping[str, float],
    vocabulary: seqio.Vocabulary,
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

    def make(name: str, rates: Mapping[str, float], parts: Mapping[str, Part]) -> Task:
        return make_task(
            name,
            TextSource(name, passages, corpus, rates, seed),
            vocabulary=vocabulary,
            read_request=_no_request,
            token_formats=[_denoise(rates, vocabulary, noise_density, mean_span)],
            parts=parts,
        )

    total = sum(objectives.values())
    parts = {
        objective: Part(rate / total, make(f"{name}:{objective}", {objective: 1.0}, {}))
        for objective, rate in objectives.items()
    }
    return make(name, objectives, parts)


class TextSource(sources.TableSource):
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
                split: sources.SplitRows(functools.partial(self._fitting, split))
                for split in (TRAIN, VALIDATION)
            },
        )
        self._text = text
        self._corpus = corpus
        self._names = tuple(rates)
        self._denoising = _denoising_of(rates)
        self._rates = np.array(list(rates.values()))
        self._seeds = {TRAIN: seed, VALIDATION: 0}

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of every file of text."""
        return self._text().hashes

    def texts(self, split: str) -> list[str]:
        """Returns every passage of a split, as one text each."""
        return [" ".join(passage) for passage in self._corpus(split).passages]

    def select(self, split: str, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Draws the examples of rows; see `TableSource.select`."""
        passages = self.columns(split)["passage"].numpy()

        def draw(number: np.int64) -> Example:
            epoch, row = divmod(int(number), len(passages))
            # At most once round: `_fitting` left a passage that lends itself.
            for step in range(len(passages)):
                passage = int(passages[(row + step) % len(passages)])
                example = self._draw(split, epoch, passage)
                if example is not None:
                    return example
            raise ValueError(f"no passage of split {split!r} lends itself")

        def features(number: tf.Tensor) -> dict[str, tf.Tensor]:
            types = (tf.int32, tf.int32, tf.string, tf.string)
            example = tf.numpy_function(draw, [number], types, stateful=False)
            for value, shape in zip(example, ([], [2], [], []), strict=True):
                value.set_shape(shape)
            return dict(zip(Example._fields, example, strict=True))

        return rows.map(features, num_parallel_calls=tf.data.AUTOTUNE)

    def _fitting(self, split: str) -> sources.Columns:
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
        return {"passage": tf.constant(rows, tf.int64)}

    def _draw(self, split: str, epoch: int, passage: int) -> Example | None:
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
                    inputs, targets = texts
                    return Example(np.int32(0), seed, inputs.encode(), targets.encode())
            elif name == NEXT_TOKEN:
                text = " ".join(corpus.passages[passage]).encode()
                return Example(np.int32(0), seed, b"", text)
            else:
                sentences = corpus.passages[passage]
                if name == "deshuffle":
                    sentences = [sentences[rng.integers(len(sentences))]]
                branch = np.int32(1 + self._denoising.index(name))
                return Example(branch, seed, b"", " ".join(sentences).encode())
        return None


def _denoising_of(objectives: Iterable[str]) -> list[str]:
    """Lists the objectives on tokens, in one order."""
    return [name for name in DENOISING if name in objectives]


def _denoise(
    objectives: Iterable[str],
    vocabulary: seqio.Vocabulary,
    noise_density: float,
    mean_span: float,
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Makes the step from a drawn, tokenised example to its inputs and targets."""
    names = _denoising_of(objectives)
    denoisers = {
        "span_corruption": _spans(noise_density, mean_span),
        "high_corruption": _spans(_HIGH_DENSITY, _HIGH_MEAN_SPAN),
        "prefix_lm": _denoiser(
            0.5,  # t5's way to say: a prefix of any length.
            mask=t5.random_prefix_noise_mask,
            inputs=t5.drop_nonnoise_tokens,
            targets=t5.drop_noise_tokens,
        ),
        "deshuffle": _denoiser(
            1.0,
            mask=lambda length, noise_density, seeds: tf.ones(length, tf.bool),
            inputs=t5.permute_noise_tokens,
        ),
    }
    output_features = {"targets": seqio.Feature(vocabulary)}

    def of_example(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        def noised(name: str) -> tuple[tf.Tensor, tf.Tensor]:
            tokens, seed = {"targets": example["targets"]}, example["seed"]
            out = denoisers[name](tokens, seed, output_features=output_features)
            return out["inputs"], out["targets"]

        branches = [lambda: (example["inputs"], example["targets"])]
        branches += [functools.partial(noised, name) for name in names]
        inputs, targets = tf.switch_case(example["branch"], branches)
        inputs.set_shape([None])
        targets.set_shape([None])
        return {"inputs": inputs, "targets": targets}

    return lambda dataset: dataset.map(of_example, num_parallel_calls=tf.data.AUTOTUNE)


def _spans(density: float, mean_span: float) -> Callable[..., Any]:
    mask = functools.partial(
        t5.random_spans_noise_mask, mean_noise_span_length=mean_span
    )
    return _denoiser(
        density,
        mask=mask,
        inputs=t5.noise_span_to_unique_sentinel,
        targets=t5.nonnoise_span_to_unique_sentinel,
    )


def _denoiser(
    density: float, *, mask: Any, inputs: Any, targets: Any = None
) -> Callable[..., Any]:
    """Binds t5's denoising; without `targets` these are the tokens as they were."""
    return functools.partial(
        t5.single_example_denoise,
        noise_density=density,
        noise_mask_fn=mask,
        inputs_fn=inputs,
        targets_fn=targets,
    )


def _check_sentinels(vocabulary: seqio.Vocabulary, objectives: Iterable[str]) -> None:
    last = vocabulary.vocab_size - 1
    spans = {"span_corruption", "high_corruption"} & set(objectives)
    if spans and "extra_id" not in vocabulary.decode([last]):
        raise ValueError(
            f"{', '.join(sorted(spans))} needs sentinels, but the last id {last} of "
            "the vocabulary is none: use a vocabulary with <extra_id_0>, or other "
            "objectives"
        )
    if spans and last in rowless(vocabulary):
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
