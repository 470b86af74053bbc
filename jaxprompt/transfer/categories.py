"""What kind of task a task is: the six types of Su et al. 2022."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "sentiment": (
        "imdb",
        "sst2",
        "laptop",
        "restaurant",
        "movierationales",
        "tweetevalsentiment",
        "rottentomatoes",
    ),
    "inference": ("mnli", "qnli", "snli", "rte", "cb", "wnli", "axb", "axg"),
    "ethics": ("ethicsdeontology", "ethicsjustice", "deontology", "justice"),
    "paraphrase": ("qqp", "mrpc"),
    "question answering": ("squad", "nqopen", "boolq", "multirc", "record"),
    "summarisation": ("multinews", "samsum"),
}
"""Type -> its tasks, in lower case and without signs between the letters.

Source: Su et al. 2022, sec. 3.1 and app. A (arXiv:2111.06719), whose 17 tasks these
are; rotten_tomatoes is from their repository, and the others of GLUE and SuperGLUE have
the type that those benchmarks give them.
"""


def category_of(task: str) -> str | None:
    """Returns the type of a task by its name; None if it is not known.

    A benchmark's prefix and signs between letters do not matter: "glue_sst2_v002" and
    "SST-2" are one task.
    """
    name = task.lower()
    for part in ("superglue", "super_glue", "glue", "pairs", "v002", "v102"):
        name = name.replace(part, "")
    name = "".join(filter(str.isalnum, name))
    for category, tasks in CATEGORIES.items():
        if name in tasks:
            return category
    return None


SAME, OTHER = "same type", "other type"
"""Groups of pairs of a task and a prompt of another task."""

OWN = "same task"
"""The group of pairs of prompts of one task, as of several seeds."""


def pair_types(
    targets: Sequence[str], sources: Sequence[str]
) -> dict[str, Bool[np.ndarray, "targets sources"]]:
    """Says which prompts are of another task of a target's type, and which of another.

    Args:
        targets: Names of tasks.
        sources: Of each prompt the task that it was trained on; "" for none, which is
            in no group.

    Returns:
        `SAME` and `OTHER` -> the pairs of that group. A task's own prompts are in none.
    """
    found = {
        group: np.zeros((len(targets), len(sources)), bool) for group in (SAME, OTHER)
    }
    for row, target in enumerate(targets):
        for column, source in enumerate(sources):
            if source and source.lower() != target.lower():
                kind = category_of(target)
                alike = kind is not None and kind == category_of(source)
                found[SAME if alike else OTHER][row, column] = True
    return found
