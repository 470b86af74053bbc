"""Says beforehand what of the data a model cannot read, or cannot answer."""

from jaxprompt.data.rows.coverage import Coverage, measure_coverage
from jaxprompt.runs.measure.loss_report import LossReport
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.job import Job
from jaxprompt.screen.terminal import say


def report_coverage(job: Job) -> dict[str, float]:
    """Says how many training examples are cut, or hold unknown characters.

    Args:
        job: The run.

    Returns:
        For result.json, the largest shares of all tasks, 0 to 1: "truncated_inputs",
        "truncated_targets", "unknown_inputs" and "unknown_targets".
    """
    split, found = job.run.data.train_split, []
    for place, settings in enumerate(job.run.data.tasks):
        task = job.trained(place, job.run.seed)
        lengths = job.row_lengths(place)
        for note in task.source.notes(split):
            say(f"{settings.label}: {note}")
        share = measure_coverage(task, split, lengths)
        found.append(share)
        looked_at = _looked_at(share, split)
        if share.cut_inputs or share.cut_targets:
            say(
                f"{settings.label}: cut to length, {looked_at}: {share.cut_inputs:.1%} "
                f"of the inputs ({lengths.inputs} tokens), {share.cut_targets:.1%} of "
                f"the targets ({lengths.targets})"
            )
        if share.unknown_inputs or share.unknown_targets:
            first = f". The first: {share.shown}" if share.shown else ""
            say(
                f"{settings.label}: with characters that the vocabulary lacks, "
                f"{looked_at}: {share.unknown_inputs:.1%} of the inputs, "
                f"{share.unknown_targets:.1%} of the targets{first}"
            )
    return {
        "truncated_inputs": max(share.cut_inputs for share in found),
        "truncated_targets": max(share.cut_targets for share in found),
        "unknown_inputs": max(share.unknown_inputs for share in found),
        "unknown_targets": max(share.unknown_targets for share in found),
    }


def report_cut_inputs(job: Job, split: str, *, shifted: bool = True) -> None:
    """Says how many rows of what is scored the model reads a part of alone.

    Not of tasks whose long rows are read in windows.

    Args:
        job: The run.
        split: The split of its tasks.
        shifted: Whether the tasks of the domain shift are scored too.
    """
    lengths, data = job.lengths, job.run.data
    asked = [*zip(data.tasks, job.tasks, [split] * len(job.tasks), strict=True)]
    if shifted:
        splits = [data.shift_split] * len(job.shift_to)
        asked += zip(data.shift_to, job.shift_to, splits, strict=True)
    for settings, task, scored in asked:
        if task.windows is not None:
            continue
        rows = job.sample(task, scored, 0).numbers
        share = measure_coverage(task, scored, lengths, among=rows)
        if share.cut_inputs:
            say(
                f"{settings.label}: cut to length, {_looked_at(share, scored)}: "
                f"{share.cut_inputs:.1%} of the inputs ({lengths.inputs} tokens); "
                "--gin.INPUT_LENGTH gives them room"
            )


def _looked_at(share: Coverage, split: str) -> str:
    return f"of {share.examples} {split} examples looked at"


def report_limits(report: ScoreReport | LossReport) -> None:
    """Says why scores on a split may not mean what they seem to."""
    for sentence in report.limits():
        say(sentence)
