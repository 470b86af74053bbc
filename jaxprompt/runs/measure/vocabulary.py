"""The run that trains a vocabulary, which needs no model and no device."""

import time
from collections.abc import Mapping
from typing import Any

from jaxprompt.config import VOCABULARY, Run
from jaxprompt.data.pretraining.tokenizer import tokens_per_word, train_vocabulary
from jaxprompt.data.read.text import TRAIN, VALIDATION
from jaxprompt.report.text.table import table


def make_vocabulary(run: Run) -> tuple[bytes, dict[str, Any]]:
    """Trains on the training share of the text, and measures on the other.

    Args:
        run: Its task is raw text; its tokenizer says how many pieces.

    Returns:
        The content of spiece.model and of result.json.

    Raises:
        ValueError: If the task is no raw text, or the text does not give so many
            pieces.
        FileNotFoundError: If there is no text.
    """
    task, settings = run.data.task and run.data.task.raw_text, run.tokenizer
    if task is None:
        raise ValueError("a vocabulary is trained on raw text: set TASK = @TextTask()")
    start = time.perf_counter()
    text = task.read()
    model = train_vocabulary(
        text.passages[TRAIN],
        pieces=settings.pieces,
        character_coverage=settings.character_coverage,
        layout=settings.layout,
        leading_space=settings.leading_space,
    )
    fineness, unknown = tokens_per_word(model, text.passages[VALIDATION])
    return model, {
        "trains": VOCABULARY,
        "task": task.name,
        "pieces": settings.pieces,
        "sentinels": settings.sentinels,
        "tokens_per_word": fineness,
        "unknown": unknown,
        "passages": len(text.passages[TRAIN]),
        "seconds": round(time.perf_counter() - start, 1),
        "text": dict(text.hashes),
    }


def vocabulary_table(result: Mapping[str, Any]) -> str:
    """Lays out a result."""
    header = ["task", "pieces", "sentinels", "tokens a word", "unknown %", "seconds"]
    row = [
        result["task"],
        result["pieces"],
        result["sentinels"],
        f"{result['tokens_per_word']:.2f}",
        f"{100 * result['unknown']:.3f}",
        result["seconds"],
    ]
    return table(header, [row])
