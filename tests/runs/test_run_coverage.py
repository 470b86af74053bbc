"""What a model cannot read or answer is said before anything is trained."""

import dataclasses
import json
from pathlib import Path

import pytest

from jaxprompt.bundled import resolve
from jaxprompt.config import Data, Evaluation, OwnTask, Run
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.runs.measure.coverage import (
    report_coverage,
    report_cut_inputs,
    report_limits,
)
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.runs.ready.job import Job
from jaxprompt.sharding import make_mesh

ROWS = [("is ½ it", "yes"), ("is it", "a ½ b"), ("is this", "two  words"), ("?", "no")]


@pytest.fixture
def job(tiny, tmp_path: Path) -> Job:
    files = {}
    for split in ("train", "validation"):
        path = tmp_path / f"{split}.jsonl"
        lines = [json.dumps({"q": q, "a": a}) + "\n" for q, a in ROWS]
        path.write_text("".join(lines))
        files[split] = str(path)
    task = OwnTask(name="own", files=files, inputs="{q}", target="a")
    run = Run(
        data=Data(task=task, input_length=24, target_length=24),
        evaluation=Evaluation(batch_size=8),
    )
    loaded = task.load(load_vocabulary(resolve("bundled:nano")))
    frozen = Frozen(make_mesh(8, 1), tiny.backbone, tiny.model, loaded.vocabulary)
    return Job(frozen, run, (loaded,))


def test_unknown_characters_are_said_and_recorded(job: Job, tmp_path, capsys):
    assert report_coverage(job) == {
        "truncated_inputs": 0,
        "truncated_targets": 0,
        "unknown_inputs": 0.25,
        "unknown_targets": 0.25,
    }
    assert capsys.readouterr().out == (
        "own: with characters that the vocabulary lacks, of 4 train examples looked "
        "at: 25.0% of the inputs, 25.0% of the targets. The first: "
        f"{tmp_path}/train.jsonl:2: 'a ½ b' ('½')\n"
    )


def test_a_score_that_is_out_of_reach_is_said(job: Job, tmp_path, capsys):
    report_limits(ScoreReport(job, "validation", prompt_length=0))
    lost, changed, reach = capsys.readouterr().out.splitlines()
    assert lost == (
        "own: 1 of 4 targets of split 'validation' hold characters that the vocabulary "
        "cannot write: no answer can equal them. The first: "
        f"{tmp_path}/validation.jsonl:2: 'a ½ b' ('½')"
    )
    assert "'two  words', which it writes 'two words'" in changed
    assert reach == (
        "own: right answers score accuracy 75.0, not 100, on split 'validation'"
    )


def shifted(job: Job) -> Job:
    """The job, whose task is scored by another name too."""
    own = job.run.data.task
    assert isinstance(own, OwnTask)
    other = dataclasses.replace(own, name="other")
    data = dataclasses.replace(
        job.run.data, shift_to=(other,), shift_split="validation"
    )
    run = dataclasses.replace(job.run, data=data)
    return dataclasses.replace(job, run=run, shift_to=job.tasks)


def test_limits_of_tasks_of_the_domain_shift_are_said_too(job: Job, capsys):
    report_limits(ScoreReport(shifted(job), "validation", prompt_length=0))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6
    assert [line.replace("own: ", "other: ") for line in said[:3]] == said[3:]


def test_rows_that_are_scored_and_cut_are_told_of_each_task(job: Job, capsys):
    def tell(length: int, **options: bool) -> list[str]:
        data = dataclasses.replace(shifted(job).run.data, input_length=length)
        three = dataclasses.replace(job.run.evaluation, num_examples=3)
        run = dataclasses.replace(job.run, data=data, evaluation=three)
        asked = dataclasses.replace(shifted(job), run=run)
        report_cut_inputs(asked, "train", **options)
        return capsys.readouterr().out.splitlines()

    # Only the first row is longer, which is not among those that are scored.
    assert tell(3) == []
    told = "100.0% of the inputs (2 tokens); --gin.INPUT_LENGTH gives them room"
    own = f"own: cut to length, of 3 train examples looked at: {told}"
    other = f"other: cut to length, of 3 validation examples looked at: {told}"
    assert tell(2) == [own, other]
    assert tell(2, shifted=False) == [own]
