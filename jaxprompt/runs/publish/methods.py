"""What tells runs apart: each one's method by name, and the settings that differ."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from jaxprompt.report.results.rows import COMPARED, members_of, method_of

FREE = {
    "Data.cut",
    "Data.most_states",
    "Data.part_rows",
    "Data.states_in_memory",
    "Data.task",
    "Data.shift_to",
    "Data.shift_split",
    "Run.loggers",
    "Run.seed",
    "Run.seeds",
    "OfficialTask.name",
    "OfficialTask.data_dir",
    "QuizTask.name",
    "QuizTask.data_dir",
    "TaskGroup.data_dir",
    "TaskGroup.name",
    "TaskGroup.names",
    "Evaluation.batch_size",
    "Model.mesh_data",
    "Model.mesh_model",
    "Model.remat",
    "Model.weights_over_data",
    "Pace.log_every",
    "Pace.checkpoint_every",
}
"""Settings that make no other method: which task and seed, where it is computed, and
where its curves are told."""

_SHOWN = 3
"""Folders that a name lists."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        folder: Its folder, relative to where the runs lie.
        result: Content of its result.json.
        settings: What its gin text sets, without macros.
    """

    folder: PurePosixPath
    result: Mapping[str, Any]
    settings: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Method:
    """Runs whose scores are of the same thing, so that their mean means something.

    Attributes:
        name: What to call it.
        runs: Its runs.
        settings: The values that tell it from other methods: name -> value.
    """

    name: str
    runs: Sequence[Finished]
    settings: Mapping[str, str]


def name_methods(runs: Sequence[Finished]) -> list[Method]:
    """Groups runs into methods.

    Runs that train the same are one method, as long as those of the same task and
    model differ in nothing but their seeds. Otherwise they are as many methods as there
    are values of what differs, and named after their folders too.

    Args:
        runs: In the order in which the methods are to come.
    """
    kinds: dict[str, list[Finished]] = {}
    for run in runs:
        plain = dataclasses.replace(run, settings=_without_scopes(run.settings))
        kinds.setdefault(method_of(run.result), []).append(plain)
    return [
        method for kind, of_kind in kinds.items() for method in _split(kind, of_kind)
    ]


def _without_scopes(settings: Mapping[str, str]) -> dict[str, str]:
    """Takes the scope off each name that a run has in one scope alone.

    Gin files call the scope of a task as they like: "TASK/OwnTask.inputs" of one run
    and "mine/OwnTask.inputs" of another are the same setting.
    """
    plain = {name: name.rpartition("/")[2] for name in settings}
    scopes = collections.Counter(plain.values())
    return {
        plain[name] if scopes[plain[name]] == 1 else name: value
        for name, value in settings.items()
    }


def _split(kind: str, runs: Sequence[Finished]) -> list[Method]:
    varying = _varying(runs)
    groups: dict[tuple[str | None, ...], list[Finished]] = {}
    for run in runs:
        values = tuple(run.settings.get(name) for name in varying)
        groups.setdefault(values, []).append(run)
    # The same seed twice: whatever differs, it is not in the settings.
    parts = [
        part
        for group in groups.values()
        for part in ([[run] for run in group] if _clash(group) else [group])
    ]
    if len(parts) == 1:
        return [Method(kind, parts[0], {})]
    names = _folder_names([[run.folder for run in part] for part in parts])
    return [
        Method(
            f"{kind}, {name}",
            part,
            {name: part[0].settings.get(name, "") for name in varying},
        )
        for name, part in zip(names, parts, strict=True)
    ]


def _varying(runs: Sequence[Finished]) -> list[str]:
    """Names the settings in which runs of the same task and model differ."""
    cells: dict[tuple[str, str], list[Finished]] = {}
    for run in runs:
        for cell in {_cell(member) for member in members_of(run.result)}:
            cells.setdefault(cell, []).append(run)
    return sorted(
        {
            name
            for of_cell in cells.values()
            for run in of_cell
            for name, value in run.settings.items()
            # A setting that the other lacks is that of a part which it does not have.
            if name.rpartition("/")[2] not in FREE
            and any(other.settings.get(name, value) != value for other in of_cell)
        }
    )


def _clash(runs: Sequence[Finished]) -> bool:
    """Whether scores of the same task and model have no common mean.

    That is so if two have the same seed, or if they are of other examples.
    """
    members = [member for run in runs for member in members_of(run.result)]
    seeds = {(*_cell(member), member["seed"]) for member in members}
    kinds = {
        (*_cell(member), *(member.get(field) for field in COMPARED))
        for member in members
    }
    cells = {_cell(member) for member in members}
    return len(seeds) < len(members) or len(kinds) > len(cells)


def _cell(member: Mapping[str, Any]) -> tuple[str, str]:
    return member["task"], member["backbone"]


def _folder_names(groups: Sequence[Sequence[PurePosixPath]]) -> list[str]:
    """Names each group by what its folders have in common, and no other group has."""
    common = [
        set.intersection(*(set(path.parts) for path in paths)) for paths in groups
    ]
    shared = set.intersection(*common)
    names = []
    for number, paths in enumerate(groups):
        own = common[number] - shared
        others = [path for other in groups if other is not paths for path in other]
        if own and not any(own <= set(path.parts) for path in others):
            names.append("/".join(part for part in paths[0].parts if part in own))
            continue
        listed = [str(path) for path in paths[:_SHOWN]]
        if len(paths) > _SHOWN:
            listed.append(f"{len(paths) - _SHOWN} more")
        names.append(", ".join(listed))
    return names
