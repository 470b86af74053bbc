"""A bank of prompts: each as if trained alone, scored together, and its vote."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amounts import LONG
from tiny import save_tiny

from jaxprompt.cli import main
from jaxprompt.config import (
    Data,
    Evaluation,
    Model,
    OfficialTask,
    Optimizer,
    PromptStart,
    Run,
    TaskGroup,
)
from jaxprompt.prompts.file import load_prompt, load_start
from jaxprompt.runs import (
    evaluate,
    evaluate_ensemble,
    find_prompt,
    find_prompts,
    predict,
    train,
)
from jaxprompt.train.pace import Pace

MINI = "bundled:mini"

BANK = Run(
    model=Model(name="model", dropout=0.1),
    data=Data(
        task=TaskGroup(name="mini", names=("sst2", "rte"), data_dir=MINI),
        input_length=32,
        target_length=8,
    ),
    prompt=PromptStart(length=4, init="vocabulary"),
    optimizer=Optimizer(accumulate=2),
    pace=Pace(steps=6, evaluate_every=2, log_every=2),
    evaluation=Evaluation(method="rank", batch_size=32, num_examples=40),
    batch_size=16,
    seed=3,
    seeds=2,
)
"""Two tasks, two seeds: four prompts, with dropout and gradient accumulation."""


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random T5 of the nano's vocabulary, quick to compile."""
    folder = tmp_path_factory.mktemp("bank")
    save_tiny(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


NAMES = ["sst2-3", "sst2-4", "rte-3", "rte-4"]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bank") / "run"
    return folder, train(BANK, folder, config="")


def test_every_member_is_as_if_trained_alone(bank, tmp_path):
    folder, result = bank
    for name, member in zip(NAMES, result["members"], strict=True):
        if name != "rte-4" and not LONG:
            continue
        alone = BANK.of_member(member["task"], member["seed"])
        found = train(alone, tmp_path / name, config="")
        prompt, _ = load_prompt(folder / "prompts" / f"{name}.safetensors")
        expected, _ = load_prompt(tmp_path / name / "prompt.safetensors")
        start = load_start(folder / "prompts" / f"{name}.safetensors")
        assert start is not None
        moved = np.abs(expected.rows - start.rows).max()
        # Rounding differs with the shape of a batch; Adafactor's first steps, of
        # the size of the rate whatever the gradient, magnify it.
        assert np.abs(prompt.rows - expected.rows).max() < 1e-3 * moved
        for field in ("score", "majority", "untuned", "illegal", "steps", "examples"):
            assert member[field] == found[field], (name, field)


def test_the_files_say_whose_they_are(bank):
    folder, result = bank
    assert sorted(p.name for p in (folder / "prompts").iterdir()) == sorted(
        f"{name}.safetensors" for name in NAMES
    )
    assert not (folder / "prompt.safetensors").exists()
    for member in result["members"]:
        _, provenance = load_prompt(folder / member["file"])
        assert provenance.task == member["task"]
        assert provenance.seed == member["seed"]
        assert provenance.score == member["score"]
        assert provenance.step == member["steps"]


def test_the_result_averages_and_votes(bank):
    _, result = bank
    scores = [member["score"] for member in result["members"]]
    assert result["score"] == pytest.approx(np.mean(scores))
    assert [vote["task"] for vote in result["votes"]] == ["sst2", "rte"]
    first = result["votes"][0]
    assert first["average"] == pytest.approx(np.mean(scores[:2]))
    assert first["best"] == max(scores[:2])
    # Of two members, the first one decides every row on which they differ.
    assert first["vote"] == scores[0]


def test_an_ensemble_from_files_scores_the_same(bank, tmp_path, capsys):
    folder, result = bank
    files = find_prompts([str(folder / "prompts")])
    assert [file.stem for file in files] == ["rte-3", "rte-4", "sst2-3", "sst2-4"]
    assert find_prompts([str(folder)]) == files
    with pytest.raises(ValueError, match=r"holds 4 prompts: name one of prompts/rte-3"):
        find_prompt(str(folder))
    runs = dict.fromkeys(files, BANK)
    scores = evaluate_ensemble(runs, output=tmp_path / "scores.json")
    by_file = {Path(member["file"]).stem: member for member in scores["members"]}
    for name, member in zip(NAMES, result["members"], strict=True):
        assert by_file[name]["score"] == member["score"]
    votes = {vote["task"]: vote["vote"] for vote in scores["votes"]}
    assert votes == {vote["task"]: vote["vote"] for vote in result["votes"]}
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    said = capsys.readouterr().out.splitlines()
    header = next(line for line in said if line.startswith("| task"))
    assert header.index("average") < header.index("best") < header.index("vote")


def test_what_makes_no_ensemble_is_refused(bank, tmp_path):
    folder, _ = bank
    files = find_prompts([str(folder / "prompts")])
    with pytest.raises(ValueError, match=r"an ensemble of 1 prompts"):
        evaluate_ensemble({files[0]: BANK})
    with pytest.raises(ValueError, match="no prompt for sst2"):
        evaluate_ensemble(dict.fromkeys(files[:2], BANK))
    with pytest.raises(FileNotFoundError, match=r"no \*\.safetensors in folder"):
        find_prompts([str(tmp_path)])


def test_a_killed_bank_resumes_to_the_same_bytes(bank, tmp_path):
    folder, result = bank
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    for step in (4, 6):
        # Each member's best and the last are kept: take the last ones away.
        shutil.rmtree(whole / "checkpoints" / str(step), ignore_errors=True)
    kept = {int(path.name) for path in (whole / "checkpoints").iterdir()}
    (whole / "result.json").unlink()
    assert kept <= {2}
    again = train(BANK, whole, config="")
    assert again["members"] == result["members"]
    for name in NAMES:
        path = f"prompts/{name}.safetensors"
        assert (whole / path).read_bytes() == (folder / path).read_bytes()


def test_a_model_learns_several_tasks_at_once(tmp_path):
    run = dataclasses.replace(
        BANK,
        trains="model",
        seeds=1,
        data=dataclasses.replace(
            BANK.data,
            task=TaskGroup(
                name="mini", names=("sst2", "rte"), data_dir=MINI, keep_task_name=True
            ),
        ),
        optimizer=Optimizer(learning_rate=0.001, parameter_scale=True),
    )
    result = train(run, tmp_path / "run", config="")
    assert [member["task"] for member in result["members"]] == ["sst2", "rte"]
    assert "votes" not in result
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_shift_is_scored_and_changes_nothing_else(tmp_path):
    words = {"negative": "bad", "positive": "good"}
    task = OfficialTask(name="sst2", data_dir=MINI, label_words=words)
    other = dataclasses.replace(task, title="twin")
    data = dataclasses.replace(BANK.data, task=task)
    plain = dataclasses.replace(BANK, data=data)
    shifted = dataclasses.replace(
        plain, data=dataclasses.replace(data, shift_to=(other,))
    )
    result = train(shifted, tmp_path / "shifted", config="")
    expected = train(plain, tmp_path / "plain", config="")
    for member, without in zip(result["members"], expected["members"], strict=True):
        twin = member.pop("shift")["twin"]
        assert member == without
        assert twin["score"] == member["score"], "the same rows under another title"
        assert twin["majority"] == member["majority"]
    prompt = tmp_path / "shifted" / "prompts" / "sst2-3.safetensors"
    scores = evaluate(shifted.of_member("sst2", 3), prompt)
    assert scores["shift"]["twin"]["score"] == result["members"][0]["score"]


def test_a_shift_to_other_label_words_is_refused(tmp_path):
    data = dataclasses.replace(
        BANK.data,
        task=OfficialTask(name="qqp", data_dir=MINI),
        shift_to=(OfficialTask(name="mrpc", data_dir=MINI),),
    )
    run = dataclasses.replace(BANK, data=data)
    message = r"task qqp answers not_duplicate or duplicate, but mrpc, .* or equivalent"
    with pytest.raises(ValueError, match=message):
        train(run, tmp_path / "run", config="")
    assert not (tmp_path / "run").exists()


def test_only_prompts_come_in_banks():
    with pytest.raises(ValueError, match="2 seeds where 'model' trains"):
        dataclasses.replace(BANK, trains="model")
    with pytest.raises(ValueError, match="seeds 0: a number of prompts, 1 or more"):
        dataclasses.replace(BANK, seeds=0)
    with pytest.raises(ValueError, match="method 'loss' for a bank of 4"):
        dataclasses.replace(BANK, evaluation=Evaluation(method="loss"))
    with pytest.raises(ValueError, match="two tasks are called sst2"):
        dataclasses.replace(BANK.data, task=TaskGroup(names=("sst2", "sst2")))
    with pytest.raises(ValueError, match="no task 'cb' in this run: it has sst2, rte"):
        BANK.of_member("cb", 0)


def test_the_command_takes_several_prompts_only_as_an_ensemble(capsys):
    assert main(["evaluate", "--prompt=a", "--prompt=b"]) == 1
    assert "2 prompts: add --ensemble for their vote" in capsys.readouterr().err


def write_rows(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def answers(path: Path) -> list[str]:
    return [json.loads(line)["prediction"] for line in path.read_text().splitlines()]


def test_each_row_is_answered_by_the_prompt_that_it_names(bank, tmp_path):
    folder, _ = bank
    files = {name: folder / "prompts" / f"{name}.safetensors" for name in NAMES}
    runs = {
        file: BANK.of_member(name.split("-")[0], int(name.split("-")[1]))
        for name, file in files.items()
    }
    texts = ["a film of joy", "dull", "rain and more rain falls on it"]
    asked = []
    for number, text in enumerate(texts):
        for name in NAMES[number:] + NAMES[:number]:
            fields = {"sentence": text}
            if name.startswith("rte"):
                fields = {"premise": text, "hypothesis": "it rains"}
            asked.append({"prompt": name, **fields})
    together = tmp_path / "together.jsonl"
    predict(runs, source=write_rows(tmp_path / "all", asked), output=str(together))
    expected = [""] * len(asked)
    for name, file in files.items():
        own = [number for number, row in enumerate(asked) if row["prompt"] == name]
        alone = [{k: x for k, x in asked[n].items() if k != "prompt"} for n in own]
        source, out = write_rows(tmp_path / name, alone), tmp_path / f"{name}.said"
        predict({file: runs[file]}, source=source, output=str(out))
        for number, answer in zip(own, answers(out), strict=True):
            expected[number] = answer
    assert answers(together) == expected
    assert len(set(expected)) > 1


def test_a_row_that_names_no_prompt_is_refused(bank, tmp_path):
    folder, _ = bank
    runs = {
        folder / "prompts" / f"{name}.safetensors": BANK.of_member(name[:4], 3)
        for name in ("sst2-3", "sst2-4")
    }
    rows = [{"prompt": "sst2-3", "sentence": "x"}, {"sentence": "y"}]
    source = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(
        ValueError, match=r"rows.jsonl:2: prompt is null: .* one of sst2-3, sst2-4"
    ):
        predict(runs, source=source)
    greedy = dataclasses.replace(BANK.evaluation, method="beam")
    (first, run), (second, _) = runs.items()
    other = {first: run, second: dataclasses.replace(run, evaluation=greedy)}
    with pytest.raises(ValueError, match=r"together: Evaluation.method is 'rank' and"):
        predict(other, source=source)
