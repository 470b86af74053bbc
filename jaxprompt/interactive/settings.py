"""Settings by name, as "Optimizer.kind": put into a run, or written as gin text."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

import numpy as np

from jaxprompt.config import Run
from jaxprompt.data.read.table import Table
from jaxprompt.field_types import check_value
from jaxprompt.screen.quoting import quoted
from jaxprompt.screen.suggest import closest


def changed(run: Run, settings: Mapping[str, Any]) -> Run:
    """Returns a run with some settings changed.

    Args:
        run: The run.
        settings: Name as in gin files, "Part.field" -> value; the parts are those of
            `config`: "Data", "PromptStart", "Optimizer", "OwnTask", "Run" itself.

    Raises:
        ValueError: If there is no such setting, a value has another type, or the run
            does not fit together.
    """
    parts = _parts_of(run)
    known = {
        f"{name}.{field}": part
        for name, part in parts.items()
        for field in get_type_hints(type(part))
        if field in vars(part)
    }
    of_part: dict[str, dict[str, Any]] = {}
    for setting, given in settings.items():
        # NumPy's own numbers, as those of a search over rates, are like Python's here.
        value = given.item() if isinstance(given, np.generic) else given
        if setting not in known:
            meant = closest(setting, known) or _by_field(setting, known)
            hint = f"did you mean {meant}?" if meant else f"parts are {[*parts]}"
            raise ValueError(f"no setting {quoted(setting)}: {hint}")
        name, _, field = setting.partition(".")
        check_value(setting, value, get_type_hints(type(parts[name]))[field])
        of_part.setdefault(name, {})[field] = value
    return _with_parts(run, of_part)


def _by_field(setting: str, known: Iterable[str]) -> str | None:
    """Returns the setting whose field a name of the gin files is like, as STEPS."""
    fields: dict[str, str] = {}
    for name in known:
        fields.setdefault(name.rpartition(".")[2], name)
    found = closest(setting.rpartition(".")[2], fields)
    return found and fields[found]


def _with_parts(part: Any, values: Mapping[str, Mapping[str, Any]]) -> Any:
    """Makes a part anew, with all of its own values and those of its parts at once."""
    inner = {
        name: _with_parts(value, values)
        for name, value in vars(part).items()
        if dataclasses.is_dataclass(value)
    }
    return dataclasses.replace(part, **inner, **values.get(type(part).__name__, {}))


def _parts_of(part: Any) -> dict[str, Any]:
    """Names a part and the parts that it is made of, by their types."""
    found = {type(part).__name__: part}
    for value in vars(part).values():
        if dataclasses.is_dataclass(value):
            found |= _parts_of(value)
    return found


def gin_text(run: Run) -> str:
    """Writes a run of one task as gin text, which jaxprompt's commands read.

    Rows in memory have no name there: a line ROWS tells how many they are, and their
    SHA-256, so that a run goes on with the same rows only.
    """
    lines: list[str] = []
    for name, part in _parts_of(run).items():
        for field, value in vars(part).items():
            if dataclasses.is_dataclass(value):
                lines.append(f"{name}.{field} = @{type(value).__name__}()")
            elif isinstance(value, Mapping) and _has_rows(value):
                told = {split: repr(rows) for split, rows in value.items()}
                lines.append(f"ROWS = {told!r}")
            else:
                lines.append(f"{name}.{field} = {value!r}")
    return "\n".join([*lines, ""])


def _has_rows(value: Mapping[str, Any]) -> bool:
    return any(isinstance(one, Table) for one in value.values())
