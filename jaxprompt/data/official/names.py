"""The official tasks by name, and their label words: known without TensorFlow."""

from collections.abc import Mapping

_ENTAILMENT = ("entailment", "not_entailment")
_FALSE_TRUE = ("False", "True")

LABEL_WORDS: Mapping[str, tuple[str, ...] | None] = {
    "axb": _ENTAILMENT,
    "axg": _ENTAILMENT,
    "boolq": _FALSE_TRUE,
    "cb": ("entailment", "contradiction", "neutral"),
    "cola": ("unacceptable", "acceptable"),
    "copa": ("choice1", "choice2"),
    "glue_rte": _ENTAILMENT,
    "mnli": ("entailment", "neutral", "contradiction"),
    "mrpc": ("not_equivalent", "equivalent"),
    "mrqa_bio_asq": None,
    "mrqa_drop": None,
    "mrqa_duo_rc": None,
    "mrqa_race": None,
    "mrqa_relation_extraction": None,
    "mrqa_textbook_qa": None,
    "multirc": _FALSE_TRUE,
    "qnli": _ENTAILMENT,
    "qqp": ("not_duplicate", "duplicate"),
    "record": None,
    "rte": _ENTAILMENT,
    "squad": None,
    "sst2": ("negative", "positive"),
    "stsb": None,
    "wic": _FALSE_TRUE,
    "wnli": ("not_entailment", "entailment"),
    "wsc": None,
}
"""Task -> the label words of t5's format in class order; None for free text."""


def check_name(name: str) -> None:
    """Raises ValueError if no official task has this name."""
    if name not in LABEL_WORDS:
        raise ValueError(f"no task {name!r}: known are {', '.join(task_names())}")


def task_names() -> tuple[str, ...]:
    """Returns the names that `data.official.tasks.load_task` knows."""
    return tuple(sorted(LABEL_WORDS))
