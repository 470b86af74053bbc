"""What a run measures by its answers: for its curves, its result and its table."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxprompt.data.evaluation import EvaluationSet
from jaxprompt.evaluate.score import Report, evaluate
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.bar import example_bar
from jaxprompt.report.page import Example
from jaxprompt.report.table import table
from jaxprompt.runs.prepare import Ready
from jaxprompt.shapes import Params

NUM_EXAMPLES = 8
"""Answers that are shown."""


class ScoreReport:
    """A split, tokenised once, and the way to its answers."""

    def __init__(self, ready: Ready, split: str, prompt_length: int):
        """Tokenises the split, behind a prompt of this length."""
        self._ready = ready
        self._split = split
        self._predict = ready.predict
        self._rows = self._tokenise(prompt_length)

    def scalars(self, params: Params) -> dict[str, float]:
        """Scores a joined tree for the log; "score" is what to maximise."""
        rows = self._rows
        with example_bar(rows.num_examples, self._split, leave=False) as advance:
            scores = rows.score(
                functools.partial(self._predict, params),
                self._ready.run.evaluation.batch_size,
                advance,
            )
        return {"score": scores.score, "illegal": scores.illegal, **scores.metrics}

    def measure(self, params: Params) -> tuple[dict[str, Any], list[Example]]:
        """Scores a joined tree for result.json, and chooses answers to show."""
        report = self.compare(params)
        return self._result(report), _choose_examples(report)

    def compare(self, params: Params) -> Report:
        """Scores a joined tree and its baselines, behind a bar."""
        ready = self._ready
        prompts = (empty_prompt(ready.backbone.width), ready.hand_written_prompt())
        baselines = [
            (self._tokenise(prompt.length), ready.join(prompt))
            for prompt in prompts
            if prompt is not None
        ]
        total = (1 + len(baselines)) * self._rows.num_examples
        with example_bar(total, self._split) as advance:
            return evaluate(
                self._predict,
                (self._rows, params),
                *baselines,
                batch_size=ready.run.evaluation.batch_size,
                progress=advance,
            )

    def _tokenise(self, prompt_length: int) -> EvaluationSet:
        ready = self._ready
        return EvaluationSet(
            ready.task,
            self._split,
            ready.lengths,
            ready.soft_ids(prompt_length),
            num_examples=ready.run.evaluation.num_examples,
        )

    def _result(self, report: Report) -> dict[str, Any]:
        tuned, hand_written = report.tuned, {}
        if report.hand_written is not None:
            hand_written = {
                "hand_written": report.hand_written.score,
                "hand_written_illegal": report.hand_written.illegal,
            }
        return {
            "task": self._ready.run.data.task_name,
            "split": self._split,
            "examples": len(tuned.predictions),
            "metric": "+".join(tuned.metrics),
            "score": tuned.score,
            "majority": report.majority.score,
            "untuned": report.untuned.score,
            "illegal": tuned.illegal,
            "untuned_illegal": report.untuned.illegal,
            **hand_written,
            "metrics": tuned.metrics,
            "backbone": self._ready.backbone.name,
        }


def _choose_examples(report: Report) -> list[Example]:
    """Takes rows evenly from the whole split: no answer decides which are shown."""
    last = len(report.inputs) - 1
    places = np.unique(np.linspace(0, last, NUM_EXAMPLES).round().astype(int))
    return [
        Example(report.inputs[i], report.targets[i], report.tuned.predictions[i])
        for i in places
    ]


def score_table(result: Mapping[str, Any]) -> str:
    """Lays out a result: one line."""
    columns = {
        "task": result["task"],
        "metric": result["metric"],
        "majority": result["majority"],
        "untuned": result["untuned"],
    }
    if "hand_written" in result:
        columns["hand-written"] = result["hand_written"]
    columns |= {
        "tuned": result["score"],
        "illegal %": 100 * result["illegal"],
        "examples": result["examples"],
    }
    if "steps" in result:
        columns |= {"steps": result["steps"], "seconds": result["seconds"]}
    return table(list(columns), [list(columns.values())])
