"""How much of a split reaches the model: what lengths cut, what <unk> replaces."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.writing import lost_characters, lost_ids
from jaxprompt.screen.quoting import quoted

_MOST_TOKENS = 500_000
"""Tokens looked at: a second's work."""

_MOST_DRAWN = 500
"""Examples looked at whose noise t5 draws, which takes some hundred times as long."""

_SHOWN = 3
"""Texts that are shown of those that the vocabulary cannot write."""


class Coverage(NamedTuple):
    """What of a split does not reach the model as it is; shares are 0 to 1.

    Attributes:
        examples: Examples looked at.
        cut_inputs: Share of the examples whose inputs are cut to length.
        cut_targets: Share of the examples whose targets are cut to length.
        unknown_inputs: Share of the examples whose inputs hold characters that the
            vocabulary lacks: the model reads <unk> in their place.
        unknown_targets: Share of the examples whose targets hold such characters: no
            answer can equal them.
        shown: The first of these targets, or else inputs, with place and characters;
            empty where there are none, or the task is raw text.
    """

    examples: int
    cut_inputs: float
    cut_targets: float
    unknown_inputs: float
    unknown_targets: float
    shown: str = ""


def measure_coverage(
    task: Task,
    split: str,
    lengths: Lengths,
    limit: int = 10_000,
    among: Int[np.ndarray, " rows"] | None = None,
) -> Coverage:
    """Measures what of a split is cut or unknown, on some random rows.

    Args:
        task: The task.
        split: The split.
        lengths: Longest texts.
        limit: Rows looked at, at most. Of long texts, and of noise that is drawn, there
            are fewer, so that a run does not wait for them.
        among: Numbers of the rows that count, in their split; None for all of it.
    """
    numbers, pairs = _sample(task, split, limit, among)
    lost = {"inputs": {task.vocabulary.unk_id}, "targets": lost_ids(task.vocabulary)}
    if task.answers is not None:  # Numbers of labels, not tokens.
        lost["targets"] = set()
    if task.vocabulary.unk_id == task.end:
        # A vocabulary of bytes lacks nothing; it gives its end-of-sequence instead.
        lost["inputs"] = set()
    rooms = {"inputs": lengths.inputs, "targets": lengths.targets}
    cut: dict[str, list[bool]] = {name: [] for name in rooms}
    unknown: dict[str, list[bool]] = {name: [] for name in rooms}
    found: dict[str, list[int]] = {name: [] for name in rooms}
    for i, pair in enumerate(pairs):
        # Of choices each is a text by itself.
        read = [
            [number for number in one.inputs.tolist() if number >= 0]
            for one in (pair, *pair.beside)
        ]
        for name, room in rooms.items():
            texts_of = read if name == "inputs" else [pair.targets.tolist()]
            cut[name].append(max(map(len, texts_of)) > room)
            ids = [*itertools.chain.from_iterable(texts_of)]
            if name == "targets" and pair.learned is not None:
                # Several answers, each with its end, and what stands between them.
                said = pair.targets[pair.learned].tolist()
                ids = [*(number for number in said if number != task.end), task.end]
            ends = name == "targets" or not task.causal
            is_unknown = not lost[name].isdisjoint(ids[:-1] if ends else ids)
            unknown[name].append(is_unknown)
            if is_unknown and len(found[name]) < _SHOWN:
                found[name].append(numbers[i])
    side = "targets" if found["targets"] else "inputs"
    texts: list[str] = []
    if found[side] and task.draw is None:  # Noise has no text to show.
        examples = task.examples(split, found[side])
        texts = [getattr(example, side) for example in examples]
    return Coverage(
        examples=len(cut["inputs"]),
        cut_inputs=float(np.mean(cut["inputs"])),
        cut_targets=float(np.mean(cut["targets"])),
        unknown_inputs=float(np.mean(unknown["inputs"])),
        unknown_targets=float(np.mean(unknown["targets"])),
        shown=show_lost(task, split, list(zip(found[side], texts, strict=False))),
    )


def _sample(
    task: Task, split: str, limit: int, among: Int[np.ndarray, " rows"] | None
) -> tuple[list[int], list[Pair]]:
    """Returns the numbers of random rows, in order, and their token ids."""
    if among is None:
        among = np.arange(task.num_examples(split))
    if task.draw is not None:
        limit = min(limit, _MOST_DRAWN)
    order = np.random.default_rng(0).permutation(among)[:limit].tolist()
    found: dict[int, Pair] = {}
    tokens = 0
    for number, pair in zip(order, task.pairs(split, order), strict=True):
        found[number] = pair
        tokens += len(pair.inputs) + len(pair.targets)
        if tokens > _MOST_TOKENS:
            break
    numbers = sorted(found)
    return numbers, [found[number] for number in numbers]


def show_lost(task: Task, split: str, texts: Sequence[tuple[int, str]]) -> str:
    """Lists texts that the vocabulary cannot write: place, text and its characters.

    Args:
        task: The task.
        split: The split.
        texts: (row number, text) of some of its rows.
    """
    shown = []
    for row, text in texts[:_SHOWN]:
        place = task.source.place(split, row)
        lost = lost_characters(task.vocabulary, text)
        characters = f" ({' '.join(map(repr, lost))})" if lost else ""
        shown.append(f"{place}: {quoted(text)}{characters}")
    return "; ".join(shown)
