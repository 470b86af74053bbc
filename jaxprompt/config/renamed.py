"""Settings that have another name than they had, and configurations that hold it."""

import re

RENAMED = {
    "SHOTS": "EXAMPLES_IN_INPUT",
    "Evaluation.shots": "Evaluation.examples_in_input",
}
"""Old name in gin -> new name."""

_OLD_NAMES = re.compile(
    "|".join(rf"(?:^(?:\w+/)*|%){re.escape(name)}(?![\w.])" for name in RENAMED),
    re.MULTILINE,
)


def check_renamed(name: str) -> None:
    """Raises ValueError, which says the new name, for a setting that was renamed.

    Args:
        name: A name in gin, as "STEPS" or "Pace.steps".
    """
    if name in RENAMED:
        raise ValueError(
            f"{name} is called {RENAMED[name]} now: use this name, with the same value"
        )


def with_new_names(config: str) -> str:
    """Writes a configuration that an earlier version stored with today's names.

    Args:
        config: gin text, as a workdir or a prompt file holds it.
    """

    def rename(found: re.Match[str]) -> str:
        old = found[0].lstrip("%").rpartition("/")[2]
        return found[0].removesuffix(old) + RENAMED[old]

    return _OLD_NAMES.sub(rename, config)
