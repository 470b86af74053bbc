"""Which prompts run together: what decides their answers is the same for all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.config import Run

_FIX = "set it for both, as --gin.{name}=VALUE"


def answer_settings(run: Run) -> dict[str, Any]:
    """Names the settings of a run that decide what is answered to a tokenised row.

    Returns:
        Name in gin -> value.
    """
    return {
        **_fields(run.model, "name", "revision", "vocabulary", "dtype", "quantise"),
        **_fields(run.data, "target_length"),
        **_fields(run.head, "kind", "pooling", "pooler", "longest"),
        **_fields(run.evaluation, "method", "beams", "alpha", "top_p", "temperature"),
        **_fields(run.evaluation, "decode_length"),
    }


def score_settings(run: Run, split: str | None) -> dict[str, Any]:
    """Names the settings that decide a score: those of answers, and of what is asked.

    The task is not among them: `task_settings` names its settings.

    Args:
        run: The run.
        split: The split that is scored; None for the run's own.

    Returns:
        Name in gin -> value.
    """
    splits = () if split else ("validation_split", "test_split")
    return {
        **answer_settings(run),
        **_fields(run.data, "input_length", "add_bos", "train_split", *splits),
        **_fields(run.data, "shift_to", "shift_split"),
        **_fields(run.evaluation, "num_examples", "hand_written", "examples_in_input"),
        **_fields(run.evaluation, "gold"),
    }


def task_settings(task: Any) -> dict[str, Any]:
    """Names the settings of a task of `config.tasks`.

    Returns:
        "Data.task" -> the kind of task, and name in gin -> value of each setting.
    """
    return {"Data.task": type(task).__name__, **_fields(task, *vars(task))}


def check_together(settings: Mapping[Path, Mapping[str, Any]], fix: str = _FIX) -> None:
    """Checks that prompts agree on the settings that they must share.

    Args:
        settings: Prompt file -> name -> value.
        fix: What the error advises; "{name}" stands for the setting's name.

    Raises:
        ValueError: If two differ in one; names both files and both values.
    """
    first_file, first = next(iter(settings.items()))
    for file, other in settings.items():
        for name, there in first.items():
            here = other.get(name)
            if there != here:
                raise ValueError(
                    f"{first_file} and {file} do not run together: {name} is {there!r} "
                    f"and {here!r}; {fix.format(name=name)}"
                )


def _fields(part: Any, *names: str) -> dict[str, Any]:
    return {f"{type(part).__name__}.{name}": getattr(part, name) for name in names}
