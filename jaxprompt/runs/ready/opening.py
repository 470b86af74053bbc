"""The line that a long command begins with: versions, devices, model and rows."""

import collections
from collections.abc import Mapping, Sequence

import jax

from jaxprompt.config import Run
from jaxprompt.data.tasks.task import Task
from jaxprompt.models.config import Config
from jaxprompt.runs.ready.computing import tell_computing
from jaxprompt.startup import versions


def opening_line(
    run: Run,
    config: Config,
    mesh: jax.sharding.Mesh,
    tasks: Sequence[Task],
    splits: Sequence[str],
) -> str:
    """Says what a run is about to read, and where and how it computes.

    Args:
        run: The configuration.
        config: Sizes of its model.
        mesh: Its devices.
        tasks: Its tasks, whose rows are read.
        splits: The splits that it reads; none to answer other rows.
    """
    sizes = rows_of_splits(tasks, splits)
    rows = ", ".join(f"{count:,} of {split}" for split, count in sizes.items())
    several = f" ({len(tasks)} tasks)" if len(tasks) > 1 else ""
    return (
        f"{_where(run, config, mesh)}, task {run.data.task_name}{several}"
        f"{', rows: ' * bool(rows)}{rows}"
    )


def answering_line(
    run: Run,
    config: Config,
    mesh: jax.sharding.Mesh,
    prompts: Sequence[str],
    rows: int | None,
) -> str:
    """Says what is about to be answered, and where and how it is computed.

    Args:
        run: The configuration of the first prompt.
        config: Sizes of its model.
        mesh: Its devices.
        prompts: Names of the prompts.
        rows: How many rows there are; None where only reading them tells.
    """
    (first, *others) = prompts
    told = f"{len(prompts)} prompts" if others else f"prompt {first}"
    return (
        f"{_where(run, config, mesh)}, {told}, rows: "
        f"{'as they come' if rows is None else f'{rows:,}'}"
    )


def _where(run: Run, config: Config, mesh: jax.sharding.Mesh) -> str:
    name = run.model.name or "a new model"
    return (
        f"{versions()}, on {tell_devices(mesh)}: model {name}, "
        f"{tell_computing(run.model, config, mesh)}"
    )


def rows_of_splits(tasks: Sequence[Task], splits: Sequence[str]) -> Mapping[str, int]:
    """Returns the rows of each split, of all tasks together."""
    return {split: sum(task.num_examples(split) for task in tasks) for split in splits}


def tell_devices(mesh: jax.sharding.Mesh) -> str:
    """Returns how many devices there are and of which kind, as "8 x TPU v5 lite"."""
    kinds = collections.Counter(device.device_kind for device in mesh.devices.flat)
    return ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
