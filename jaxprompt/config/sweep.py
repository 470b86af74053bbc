"""A sweep: the same recipe with some values changed, arm by arm, on several tasks."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An experiment of several runs: one for every task and every arm.

    A baseline is one more arm.

    Attributes:
        title: What the experiment is called, in tables and figures.
        arms: Name of an arm -> the gin names that it sets, and their values, as
            {"uniform": {"PROMPT_INIT": "uniform"}}; {} for the recipe as it is. A
            name is also that of a folder.
        tasks: Gin files of tasks, as "gin/tasks/rte.gin"; empty for the recipe's own
            task. The name of a file is also that of a folder.
        axis: Label of the numbers `x`.
        x: Arm -> its place on a numeric axis; arms left out are level lines there.
        best_of_grid: Whether the table also has, of each task, the best score of all
            arms and seeds, under a name that says that the reported split chose it.
    """

    title: str
    arms: Mapping[str, Mapping[str, Any]]
    tasks: Sequence[str] = ()
    axis: str = ""
    x: Mapping[str, float] = field(default_factory=dict)
    best_of_grid: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.arms, Mapping) or not self.arms:
            raise ValueError(
                f"Sweep.arms is {self.arms!r}: name one arm or more, each with what it "
                "sets, as {'uniform': {'PROMPT_INIT': 'uniform'}}"
            )
        for arm, values in self.arms.items():
            _check_arm(arm, values)
        _check_tasks(self.tasks)
        unknown = [arm for arm in self.x if arm not in self.arms]
        if unknown:
            raise ValueError(
                f"Sweep.x has a number for {unknown[0]!r}, which is no arm: the arms "
                f"are {', '.join(self.arms)}"
            )
        for arm, number in self.x.items():
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(
                    f"Sweep.x of arm {arm!r} is {number!r}: it must be a number"
                )
        if bool(self.x) != bool(self.axis):
            raise ValueError(
                f"Sweep.axis is {self.axis!r} and Sweep.x {dict(self.x)!r}: numbers "
                "need a label and a label numbers, so give both or neither"
            )


def _check_arm(arm: Any, values: Any) -> None:
    if not isinstance(arm, str) or not re.fullmatch(r"\w[\w.+=-]*", arm):
        raise ValueError(
            f"arm {arm!r} names a folder: use letters, digits and _ . + = -, as "
            "'class_labels'"
        )
    if not isinstance(values, Mapping):
        raise ValueError(
            f"arm {arm!r} is {values!r}: give the gin names that it sets and their "
            "values, as {'PROMPT_INIT': 'uniform'}"
        )
    for name, value in values.items():
        try:
            is_literal = ast.literal_eval(repr(value)) == value
        except (ValueError, SyntaxError):
            is_literal = False
        if not isinstance(name, str) or not is_literal:
            raise ValueError(
                f"arm {arm!r} sets {name} to {value!r}: use texts, numbers, True, "
                "False, None, and lists and dicts of these; tasks go to Sweep.tasks"
            )


def _check_tasks(tasks: Any) -> None:
    if isinstance(tasks, str):
        raise ValueError(f"Sweep.tasks is the text {tasks!r}: use a list, [{tasks!r}]")
    stems = [Path(file).stem for file in tasks]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(
            f"two files of Sweep.tasks are called {', '.join(twice)}.gin, and so would "
            "be their folders: rename one"
        )
