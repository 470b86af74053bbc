"""What answers need besides the model and the prompt, as JSON: from a run, and back."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

from jaxprompt.config.run import Run
from jaxprompt.config.settings import Data, Evaluation, HeadStart, Model
from jaxprompt.config.task_settings import DATA_FIELDS
from jaxprompt.config.tasks import TASKS
from jaxprompt.data.tasks.answers.kinds import KINDS, WORDS
from jaxprompt.field_types import check_value
from jaxprompt.screen.quoting import listed, quoted

_TASKS = {kind.__name__: kind for kind in TASKS}

_PARTS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "model": (Model, ("name", "revision", "vocabulary", "dtype", "quantise")),
    "data": (Data, ("input_length", "target_length", "add_bos")),
    "evaluation": (
        Evaluation,
        ("method", "beams", "alpha", "top_p", "temperature", "decode_length"),
    ),
}
"""Part of a run -> its type, and the settings that decide an answer."""

_HEAD: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "head": (HeadStart, ("kind", "pooling", "pooler", "longest"))
}
"""The same of a head that has weights."""

_OLDER: Mapping[str, Mapping[str, Any]] = {"data": {"add_bos": False}}
"""Part of a run -> what prompts were trained with whose files do not say it."""

_MACROS = {
    "Model.name": "MODEL",
    "Model.revision": "REVISION",
    "Model.vocabulary": "VOCABULARY",
    "Model.dtype": "DTYPE",
    "Model.quantise": "QUANTISE",
    "Data.input_length": "INPUT_LENGTH",
    "Data.target_length": "TARGET_LENGTH",
    "Evaluation.method": "METHOD",
    "HeadStart.kind": "HEAD",
}
"""Setting -> its name in gin/runs/prompt_tuning.gin."""


def describe(run: Run) -> dict[str, Any]:
    """Says what answers need besides the model's weights and the prompt.

    Args:
        run: A run of one task.

    Returns:
        What JSON can hold: "kind", of the answers; "task", its type and its settings
        but for where its data lies; and of the "model", the "data" and the
        "evaluation" the settings that decide an answer, and those of the "head" where
        it has weights. Empty without a task.
    """
    if not run.data.tasks:
        return {}
    (task,) = run.data.tasks
    found = {
        "kind": run.head.kind,
        "task": {
            "type": type(task).__name__,
            **{name: getattr(task, name) for name in _format_of(type(task))},
        },
        **{
            part: {name: getattr(getattr(run, part), name) for name in names}
            for part, (_, names) in _parts_of(run.head.kind).items()
        },
    }
    return json.loads(json.dumps(found))


def answering_run(said: Mapping[str, Any], where: str) -> Run:
    """Makes the run that answers, or scores rows whose files are then named.

    Args:
        said: From `describe`, as a prompt file holds it.
        where: What holds it, for error messages.

    Raises:
        ValueError: If it is not what `describe` makes.
    """
    kind, fields = _task_of(said, where)
    known = _parts_of(said["kind"])
    parts: dict[str, Any] = {
        part: _made(known[part][0], _part_of(said, part, where), where)
        for part in known
    }
    task = _made(kind, fields, where)
    parts["data"] = dataclasses.replace(parts["data"], task=task)
    has_weights = "head" in parts and parts["head"].has_weights
    return Run(trains="prompt+head" if has_weights else "prompt", **parts)


def answering_gin(said: Mapping[str, Any], where: str) -> str:
    """Writes the same as gin text, for settings on top of it.

    Raises:
        ValueError: As `answering_run`.
    """
    kind, fields = _task_of(said, where)
    lines = [
        "include 'gin/runs/prompt_tuning.gin'",
        f"TASK = @{kind.__name__}()",
        *(f"{kind.__name__}.{name} = {value!r}" for name, value in fields.items()),
    ]
    if HeadStart(kind=said["kind"]).has_weights:
        lines.append("TRAINS = 'prompt+head'")
    for part, (of, _) in _parts_of(said["kind"]).items():
        for name, value in _part_of(said, part, where).items():
            setting = f"{of.__name__}.{name}"
            lines.append(f"{_MACROS.get(setting, setting)} = {value!r}")
    return "\n".join(lines) + "\n"


def _parts_of(kind: str) -> Mapping[str, tuple[type, tuple[str, ...]]]:
    """Names the parts of a run that decide answers of a kind."""
    return _PARTS if kind == WORDS else {**_PARTS, **_HEAD}


def _format_of(kind: type) -> list[str]:
    """Names a task's settings, but for where its data lies."""
    fields: Any = kind
    return [
        field.name
        for field in dataclasses.fields(fields)
        if field.name not in DATA_FIELDS
    ]


def _task_of(said: Mapping[str, Any], where: str) -> tuple[type, dict[str, Any]]:
    """Returns the type of the task and its settings, checked."""
    task = said.get("task")
    name = str(task.get("type")) if isinstance(task, dict) else "none"
    known = said.get("kind") in KINDS and name in _TASKS
    if not known or not isinstance(task, dict):
        raise ValueError(
            f"{where}: answers of kind {quoted(said.get('kind'))} to a task of type "
            f"{quoted(name)}: this program knows {listed(_TASKS)}, so take a newer one"
        )
    kind = _TASKS[name]
    fields = {field: value for field, value in task.items() if field != "type"}
    _check(kind, fields, _format_of(kind), where)
    return kind, fields


def _part_of(said: Mapping[str, Any], part: str, where: str) -> dict[str, Any]:
    fields = said.get(part)
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: {part} is {quoted(fields)}: the file is damaged")
    of, names = {**_PARTS, **_HEAD}[part]
    _check(of, fields, names, where)
    return {**_OLDER.get(part, {}), **fields}


def _check(kind: type, fields: Mapping[str, Any], known: Any, where: str) -> None:
    hints = get_type_hints(kind)
    for name, value in fields.items():
        if name not in known:
            raise ValueError(
                f"{where}: {kind.__name__} has no setting {quoted(name)}: the file is "
                "damaged, or written by a newer version"
            )
        check_value(f"{where}: {kind.__name__}.{name}", value, hints[name])


def _made(kind: type, fields: Mapping[str, Any], where: str) -> Any:
    try:
        return kind(**fields)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
