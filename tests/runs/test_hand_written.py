"""A hand-written prompt is scored like the same text typed before every input."""

import dataclasses
import json
from pathlib import Path

import jax
import pytest
from byte_vocabulary import byte_vocabulary
from tiny import CONFIG, LENGTH, draw_prompt, make_tiny

from jaxprompt.config import Data, Evaluation, Model, OwnTask, Run
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.mixture import NO_PROMPT
from jaxprompt.models.load import load
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import init_prompt
from jaxprompt.runs import evaluate
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.runs.ready.job import Job
from jaxprompt.sharding import make_mesh

TEXT = "yes or no? "


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("own") / "own.jsonl"
    rows = [{"text": f"row {n * n}", "label": n % 2} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"validation": str(path)}


def make_job(files: dict[str, str], inputs: str, hand_written: str = "") -> Job:
    """A random model that reads bytes; hand-made, for there are no files of it."""
    model = make_tiny(dataclasses.replace(CONFIG, vocab_rows=264))
    task = OwnTask(
        name="own",
        files=files,
        inputs=inputs,
        target="label",
        labels={"0": "no", "1": "yes"},
    )
    run = Run(
        data=Data(task=task, input_length=24, target_length=4),
        evaluation=Evaluation(batch_size=8, hand_written=hand_written),
    )
    loaded = task.load(byte_vocabulary())
    frozen = Frozen(make_mesh(8, 1), model.backbone, model.model, loaded.vocabulary)
    return Job(frozen, run, (loaded,))


def test_it_is_the_same_as_typing_it(files):
    job = make_job(files, "{text}", TEXT)
    typed = make_job(files, TEXT + "{text}")
    params = job.frozen.join(draw_prompt(0))
    report, expected = (
        ScoreReport(way, "validation", LENGTH).compare(params) for way in (job, typed)
    )
    assert expected.hand_written is None
    assert report.hand_written is not None
    assert report.hand_written.predictions == expected.untuned.predictions
    # The random model does read what stands before the input.
    assert report.hand_written.predictions != report.untuned.predictions
    assert report.hand_written.predictions != report.tuned[0].predictions


def test_its_tokens_stand_in_front_of_a_text_and_count_for_none_of_it(files):
    job = make_job(files, "{text} and so on, for longer than there is room", TEXT)
    asked = job.asked_by_hand(job.task)
    assert asked is not None
    ids = job.task.vocabulary.encode(TEXT)
    numbers = range(3)
    for found, alone in zip(
        *(
            map(
                layout_of(task, job.lengths, NO_PROMPT).prompted,
                task.pairs("validation", numbers),
            )
            for task in (asked, job.task)
        ),
        strict=True,
    ):
        assert len(alone.inputs) == 24
        assert found.inputs.tolist() == [*ids, *alone.inputs.tolist()]
    plain = make_job(files, "{text}")
    assert plain.asked_by_hand(plain.task) is None


def test_a_text_without_words_is_refused():
    with pytest.raises(ValueError, match=r"hand-written prompt '  ' has no words"):
        Evaluation(hand_written="  ")


def test_it_stands_in_the_result_and_the_table(
    tmp_path: Path, skills: Path, capsys: pytest.CaptureFixture[str]
):
    backbone, model = load(skills / "backbone")
    prompt = init_prompt(jax.random.key(0), backbone.table(model), length=2)
    save_prompt(tmp_path / "p.safetensors", prompt, backbone, task="last")
    run = Run(
        model=Model(name=str(skills / "backbone")),
        data=Data(
            task=OwnTask(
                name="last",
                files={"validation": str(skills / "last" / "validation.jsonl")},
                inputs="{text}",
                target="answer",
            ),
            input_length=16,
            target_length=2,
        ),
        evaluation=Evaluation(num_examples=64, batch_size=64, hand_written="last"),
        batch_size=64,
    )
    scores = evaluate(run, tmp_path / "p.safetensors")
    # The skill's own word, before the input, is what the model was trained on.
    assert scores["hand_written"] > 90 > scores["untuned"]
    assert scores["hand_written_illegal"] == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if "|" in x]
    header, _, row = lines[:3]
    columns = dict(
        zip(*([c.strip() for c in x.split("|")] for x in (header, row)), strict=True)
    )
    assert list(columns)[3:7] == ["majority", "untuned", "hand-written", "tuned"]
    assert columns["hand-written"] == f"{scores['hand_written']:.1f}"
