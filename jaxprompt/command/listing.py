"""`list`: the tasks, models, recipes and names that there are to choose from."""

import inspect
from collections.abc import Callable, Mapping

from jaxprompt.command.gin_files import first_comment, gin_files
from jaxprompt.screen.quoting import cut
from jaxprompt.screen.terminal import say

_WIDEST = 100
"""Characters of a description that are shown."""

Rows = list[tuple[str, str]]
"""Names, and what each is."""


def list_names(kind: str) -> None:
    """Prints all names of a kind, and how one is chosen.

    Args:
        kind: One of `KINDS`.
    """
    choose, make = KINDS[kind]
    rows = make()
    width = max(len(name) for name, _ in rows)
    for name, what in rows:
        say(f"{name:{width}}  {cut(what, _WIDEST)}".rstrip())
    say(f"Choose one with {choose}")


def _files(*folders: str) -> Rows:
    return [
        (file, first_comment(file))
        for file in gin_files()
        if any(file.startswith(f"gin/{folder}/") for folder in folders)
    ]


def _models() -> Rows:
    from jaxprompt.models.families import FAMILIES

    bundled = [("bundled:nano", "A small T5 that comes with the package.")]
    families = [
        (
            f"any {family.name}",
            "By Hub name or folder; its config.json has the model_type "
            f"{' or '.join(family.hugging_face.model_types)}.",
        )
        for family in FAMILIES
    ]
    return [*bundled, *_files("models"), *families]


def _inits() -> Rows:
    from jaxprompt.prompts.init import METHODS

    return _described(METHODS)


def _metrics() -> Rows:
    from jaxprompt.data.tasks.metrics import LABEL_METRICS, METRICS

    of_labels = [(name, "of labels") for name in LABEL_METRICS]
    of_texts = [(name, f"of free text: {what}") for name, what in _described(METRICS)]
    return [*of_labels, *of_texts]


def _heads() -> Rows:
    from jaxprompt.data.tasks.answers.kinds import KINDS

    return [(name, kind.told) for name, kind in KINDS.items()]


def _loggers() -> Rows:
    from jaxprompt.train.loggers import LOGGERS

    return _described(LOGGERS)


def _described(named: Mapping[str, Callable[..., object]]) -> Rows:
    """Says of each function what its docstring begins with."""
    docs = {name: inspect.getdoc(made) or "" for name, made in named.items()}
    return [
        (name, doc.partition("\n")[0].removeprefix("Returns "))
        for name, doc in docs.items()
    ]


_FILE = "--gin_file=FILE"

KINDS: dict[str, tuple[str, Callable[[], Rows]]] = {
    "tasks": (_FILE, lambda: _files("tasks")),
    "models": (f"{_FILE}, or with --gin.MODEL=NAME", _models),
    "runs": (_FILE, lambda: _files("runs")),
    "recipes": (_FILE, lambda: _files("recipes")),
    "inits": ("--gin.PROMPT_INIT=NAME", _inits),
    "metrics": ("OwnTask.metrics = ['NAME'] in a gin file", _metrics),
    "heads": ("--gin.HEAD=NAME", _heads),
    "loggers": ("--gin.LOGGERS=\"['NAME']\"", _loggers),
}
"""What can be listed -> how one is chosen, and what makes the list."""
