"""What a run measures by its loss: for its curves, its result and its table."""

from collections.abc import Mapping
from typing import Any

import jax

from jaxprompt.config import LOSS
from jaxprompt.data.rows.row_batches import Progress
from jaxprompt.data.tasks.task import MixedPart
from jaxprompt.evaluate.loss import (
    Loss,
    LossSet,
    make_measure,
    mean_loss,
    measure_loss,
)
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.report.text.table import Grid
from jaxprompt.runs.measure.measured import Measured
from jaxprompt.runs.ready.job import Job
from jaxprompt.shapes import Params
from jaxprompt.train.loop import Validation


class LossReport:
    """The parts of a split, tokenised once, and the compiled loss."""

    def __init__(self, job: Job, split: str, prompt_length: int):
        """Tokenises the split, behind a prompt of this length."""
        parts = job.task.parts or {job.run.data.task_name: MixedPart(1.0, job.task)}
        self._job = job
        self._split = split
        self._rates = {name: part.rate for name, part in parts.items()}
        self._sets = {
            name: LossSet(job.sample(part.task, split, prompt_length))
            for name, part in parts.items()
        }
        self._measure = make_measure(job.frozen.backbone, job.frozen.place_batch)

    def limits(self) -> list[str]:
        """Returns nothing: a loss needs no answers, which could be out of reach."""
        return []

    def validate(self, params: Params) -> Validation:
        """Measures a joined tree for the log; the score is the loss, negated."""
        mean, losses = self._losses(params, leave=False)
        scalars = {
            "score": -mean.loss,
            "loss": mean.loss,
            "other_input_loss": mean.other_input_loss,
            "accuracy": mean.accuracy,
        }
        if len(losses) > 1:
            scalars |= {
                f"{name}/{field}": value
                for name, loss in losses.items()
                for field, value in loss._asdict().items()
            }
        return Validation([scalars["score"]], scalars)

    def measure(self, params: Params) -> Measured:
        """Measures a joined tree for result.json; there are no answers to show."""
        job = self._job
        mean, losses = self._losses(params, leave=True)
        entropies = {name: rows.unigram_entropy() for name, rows in self._sets.items()}
        result = {
            "task": job.run.data.task_name,
            "split": self._split,
            "examples": sum(rows.num_examples for rows in self._sets.values()),
            "metric": LOSS,
            "score": -mean.loss,
            **mean._asdict(),
            "unigram_entropy": sum(
                self._rates[name] * entropy for name, entropy in entropies.items()
            ),
            "objectives": {
                name: {
                    "rate": self._rates[name],
                    **loss._asdict(),
                    "unigram_entropy": entropies[name],
                }
                for name, loss in losses.items()
            },
            "backbone": job.frozen.backbone.name,
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(params["model"])),
            "text": dict(job.task.source.hashes),
            "seed": job.run.seed,
        }
        if not params["prompt"].is_empty:
            alone = LossReport(job, self._split, 0)
            empty = empty_prompt(job.frozen.backbone.width)
            untuned, _ = alone._losses(
                {"model": params["model"], "prompt": empty}, leave=True
            )
            result["untuned_loss"] = untuned.loss
        return Measured([result])

    def _losses(self, params: Params, *, leave: bool) -> tuple[Loss, dict[str, Loss]]:
        total = 2 * sum(rows.num_examples for rows in self._sets.values())
        with example_bar(total, self._split, leave=leave) as advance:
            losses = {
                name: self._of_set(params, rows, advance)
                for name, rows in self._sets.items()
            }
        return mean_loss(losses, self._rates), losses

    def _of_set(self, params: Params, rows: LossSet, advance: Progress) -> Loss:
        return measure_loss(
            lambda batch: self._measure(params, batch),
            rows,
            self._job.run.evaluation.batch_size,
            advance,
        )


def loss_grid(result: Mapping[str, Any]) -> Grid:
    """Takes the cells of a result: a line for each objective, and their mean."""
    header = ["objective", "share %", "loss", "other input", "unigram", "accuracy %"]
    rows = [
        _row(name, 100 * part["rate"], part)
        for name, part in result["objectives"].items()
    ]
    if len(rows) > 1:
        rows.append(_row(result["task"], 100.0, result))
    return Grid(header, rows)


def _row(name: str, share: float, loss: Mapping[str, float]) -> list[object]:
    fields = ("loss", "other_input_loss", "unigram_entropy")
    # Two decimals: a tenth of a nat is a lot.
    nats = [f"{loss[field]:.2f}" for field in fields]
    return [name, share, *nats, 100 * loss["accuracy"]]
