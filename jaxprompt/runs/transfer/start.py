"""Comparing starts: training from other tasks' prompts beside a fresh start."""

import dataclasses
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.report.plots.curves import Curve, Panel, read_curves, write_png
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.keep.result_file import read_result_file
from jaxprompt.runs.keep.workdir import METRICS, RESULT
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.transfer.convergence import EPSILON, Learning, speed_up

_MEMBER = re.compile(r"validation/(?:(?P<task>.+)-(?P<seed>\d+)/)?score")
"""Name of the score of a run, or of a member of a bank, in its log."""


def compare_starts(
    fresh: Path,
    others: Sequence[Path],
    *,
    epsilon: float = EPSILON,
    output: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Prints how much sooner runs converge that start from other tasks' prompts.

    Args:
        fresh: Folder of a finished run that started without another prompt; a bank
            holds several seeds.
        others: Folders of runs of the same task and seeds that did.
        epsilon: Points below the best score that count as converged.
        output: Where to write all of it as JSON; a .png of the same name has the
            curves.
        overwrite: Whether these files may exist.

    Returns:
        Name of each folder -> fields of `transfer.convergence.SpeedUp`.

    Raises:
        ValueError: If a folder is no such run, or runs cannot be compared.
        FileNotFoundError: If a folder holds no finished run.
    """
    plot = None if output is None else output.with_suffix(".png")
    for path in (output, plot):
        check_output(path, overwrite)
    if epsilon < 0:
        raise ValueError(f"epsilon {epsilon}: points below the best, 0 or more")
    task, own = _read(fresh)
    learned = {fresh.name: own}
    found = {}
    for folder in others:
        name = folder.name if folder.name not in learned else str(folder)
        other_task, learned[name] = _read(folder)
        if other_task != task:
            raise ValueError(
                f"{fresh} was trained on {task}, and {folder} on {other_task}: compare "
                "starts of one task"
            )
        found[name] = dataclasses.asdict(speed_up(own, learned[name], epsilon=epsilon))
    _print(task, fresh.name, found, epsilon)
    if output is not None and plot is not None:
        write_json(
            output, {"task": task, "fresh": fresh.name, "epsilon": epsilon, **found}
        )
        write_png(plot, [_panel(task, learned)])
        say(f"wrote {output} and {plot}")
    return found


def _read(folder: Path) -> tuple[str, dict[int, Learning]]:
    """Reads a finished run of one task: its name, and the evaluations of each seed."""
    result_file = folder / RESULT
    if not result_file.is_file():
        raise FileNotFoundError(
            f"no {RESULT} in {quoted_path(folder)}: name the folder of a finished run"
        )
    result = read_result_file(result_file)
    tasks = {member["task"] for member in result.get("members", [result])}
    if len(tasks) != 1:
        raise ValueError(
            f"{quoted_path(folder)} trained {', '.join(sorted(tasks))}: compare runs "
            "of one task"
        )
    learned = {}
    for name, curve in read_curves(folder / METRICS).items():
        match = _MEMBER.fullmatch(name)
        if match is None:
            continue
        seed = match["seed"]
        # A bank logs the mean of its members too.
        if seed is None and "members" in result:
            continue
        number = int(seed) if seed is not None else int(result["seed"])
        learned[number] = Learning(curve.steps, curve.values)
    if not learned:
        raise ValueError(
            f"{quoted_path(folder)} has no score on the way: train it with "
            "EVALUATE_EVERY over 0"
        )
    return tasks.pop(), learned


def _print(
    task: str, fresh: str, found: Mapping[str, Mapping[str, Any]], epsilon: float
) -> None:
    intervals = {one["interval"] for one in found.values()}
    every = " and ".join(map(str, sorted(intervals)))
    say(
        f"{task}: converged at the first evaluation within {epsilon:g} points of the "
        f"run's best; evaluations every {every} steps"
    )
    header = [
        "start",
        "seeds",
        "steps",
        "speed-up",
        "speed-up to the same score",
        "best score",
    ]
    lines: list[list[object]] = []
    for name, one in found.items():
        if not lines:
            seeds = len(one["seeds"])
            own = _with_range(one["fresh_best"], one["fresh_bests"], 1)
            lines.append([fresh, seeds, one["fresh_steps"], "1.00", "1.00", own])
        same = one["comparable"]
        told = f"{same:.2f}" if same is not None else "never"
        told += f" ({one['reached']} of {len(one['seeds'])} seeds)"
        speed = _with_range(one["convergence"], one["ratios"], 2)
        best = _with_range(one["best"], one["bests"], 1)
        lines.append([name, len(one["seeds"]), one["steps"], speed, told, best])
    say_lines(table(header, lines))
    say("the means over seeds, and in brackets the least and the most of a seed")


def _with_range(mean: float, values: Sequence[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _panel(task: str, learned: Mapping[str, Mapping[int, Learning]]) -> Panel:
    """Plots the mean over seeds of each start."""
    curves = {}
    for name, seeds in learned.items():
        runs = list(seeds.values())
        # A member that stopped early has fewer evaluations.
        steps = min((run.steps for run in runs), key=len)
        values = [
            statistics.fmean(column)
            for column in zip(*(r.scores for r in runs), strict=False)
        ]
        curves[name] = Curve(steps, tuple(values[: len(steps)]))
    return Panel("starts", f"Validation score: {task}", "points", curves)
