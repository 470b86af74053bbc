"""Makes the bundled mini tasks: small labelled sets in the official file formats.

Every text comes from the grammars and word lists in tools/mini_tasks. The same code
gives the same bytes.

    python tools/make_mini_tasks.py jaxprompt/bundled/mini
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mini_tasks import entailment, news, questions, sentiment
from mini_tasks.words import Draw

SPLITS = ("train", "validation", "test")
"""Each split is drawn from its own seed: its number here."""

TSV = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
JSONL = {"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}


class Row(NamedTuple):
    """One example: its texts, and its class index."""

    texts: tuple[str, ...]
    label: int


def draw_rows(
    grammar: Draw, count: int, rng: random.Random, seen: set[tuple[str, ...]]
) -> list[Row]:
    """Draws rows that are not in `seen`, half of each class, and adds them to it."""
    labels = [0, 1] * (count // 2)
    rng.shuffle(labels)
    rows = []
    for label in labels:
        texts = grammar(rng, label)
        while texts in seen:
            texts = grammar(rng, label)
        seen.add(texts)
        rows.append(Row(texts, label))
    return rows


def sst2_lines(rows: list[Row]) -> list[str]:
    """Returns SST-2's header and lines."""
    return ["sentence\tlabel", *(f"{row.texts[0]}\t{row.label}" for row in rows)]


def rte_lines(rows: list[Row]) -> list[str]:
    """Returns SuperGLUE's JSON objects; class 0 is entailment."""
    fields = ("premise", "hypothesis")
    labels = ("entailment", "not_entailment")
    return [
        json.dumps(
            {
                **dict(zip(fields, row.texts, strict=True)),
                "label": labels[row.label],
                "idx": number,
            }
        )
        for number, row in enumerate(rows)
    ]


def qqp_lines(rows: list[Row]) -> list[str]:
    """Returns QQP's header and lines, with numbers for all ids."""
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    return _table(
        header,
        [
            [number, 2 * number + 1, 2 * number + 2, *row.texts, row.label]
            for number, row in enumerate(rows)
        ],
    )


def mrpc_lines(rows: list[Row]) -> list[str]:
    """Returns MRPC's header and lines, with numbers for all ids."""
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    return _table(
        header,
        [
            [row.label, 2 * number + 1, 2 * number + 2, *row.texts]
            for number, row in enumerate(rows)
        ],
    )


def _table(header: list[str], rows: list[list[object]]) -> list[str]:
    return ["\t".join(map(str, cells)) for cells in [header, *rows]]


class MiniTask(NamedTuple):
    """A mini task: its words, its official folder and its size.

    Attributes:
        grammar: Whether the held-out words are wanted -> the grammar.
        folder: Name of the official folder.
        files: Split -> official file name.
        to_lines: Rows -> the lines of such a file.
        sizes: Rows of each of `SPLITS`.
    """

    grammar: Callable[[bool], Draw]
    folder: str
    files: dict[str, str]
    to_lines: Callable[[list[Row]], list[str]]
    sizes: tuple[int, int, int]


TASKS = {
    "sentiment": MiniTask(
        sentiment.grammar, "SST-2", TSV, sst2_lines, (1600, 400, 400)
    ),
    "entailment": MiniTask(
        entailment.grammar, "RTE", JSONL, rte_lines, (1600, 300, 400)
    ),
    "questions": MiniTask(questions.grammar, "QQP", TSV, qqp_lines, (1600, 300, 400)),
    "news": MiniTask(news.grammar, "MRPC", TSV, mrpc_lines, (1200, 300, 400)),
}


def make_rows(task: MiniTask) -> dict[str, list[Row]]:
    """Draws every split of a task, without a row that occurs twice."""
    seen: set[tuple[str, ...]] = set()
    return {
        split: draw_rows(task.grammar(split == "test"), size, random.Random(seed), seen)
        for seed, (split, size) in enumerate(zip(SPLITS, task.sizes, strict=True))
    }


def write_tasks(folder: Path) -> None:
    """Writes every mini task below the folder."""
    for task in TASKS.values():
        (folder / task.folder).mkdir(parents=True, exist_ok=True)
        for split, rows in make_rows(task).items():
            # One line end and one encoding, so the bytes are the same on every system.
            (folder / task.folder / task.files[split]).write_text(
                "".join(f"{line}\n" for line in task.to_lines(rows)),
                encoding="ascii",
                newline="\n",
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write")
    write_tasks(parser.parse_args().folder)
