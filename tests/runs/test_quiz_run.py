"""The quiz end to end, by its recipes: a vocabulary, a small GPT-2, prompts, scores."""

import json
import re
from pathlib import Path
from typing import Any

import hub_server
import pytest

from jaxprompt.cli import main

RECIPES = "--gin_file=gin/recipes/jaqket"
TEXT = "--gin.TEXT='aio/aio_02_train.jsonl'"
SMALL_MODEL = (
    "--gin.GPT2Config.width=16",
    "--gin.GPT2Config.heads=2",
    "--gin.GPT2Config.ffn_width=32",
    "--gin.GPT2Config.layers=1",
)
SHORT = (
    "--gin.DATA_DIR='.'",
    "--gin.PROMPT_LENGTH=4",
    "--gin.BATCH_SIZE=8",
    "--gin.STEPS=2",
    "--gin.EVALUATE_EVERY=2",
    "--gin.EXAMPLES_IN_INPUT=2",
    "--gin.LEARNING_RATE=0.01",
)
GOLD = {"gold_loss", "gold_mrr", "gold_recall_1", "gold_recall_10", "gold_recall_100"}
METRICS = {"exact_match", "exact_match_raw", *GOLD}


def write_questions(path: Path, count: int, first: int = 0) -> None:
    numbers = range(first, first + count)
    rows = [{"question": f"{n}番の町は何?", "answers": [f"町{n}"]} for n in numbers]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), "utf-8")


def train(*arguments: str) -> dict[str, Any]:
    assert main(["train", *arguments]) == 0
    return json.loads(
        (Path(arguments[-1].partition("=")[2]) / "result.json").read_text()
    )


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with questions, and a small GPT-2 that has read them."""
    folder = tmp_path_factory.mktemp("quiz")
    (folder / "aio").mkdir()
    write_questions(folder / "aio" / "aio_02_train.jsonl", 320)
    write_questions(folder / "aio" / "aio_02_dev_v1.0.jsonl", 10, first=900)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = train(
            f"{RECIPES}/tokenizer.gin",
            TEXT,
            "--gin.PIECES=140",
            "--gin.VALIDATION_SHARE=0.3",
            "--workdir=tokenizer",
        )
        assert made["pieces"] == 140
        pretrained = train(
            f"{RECIPES}/pretrain.gin",
            TEXT,
            *SMALL_MODEL,
            "--gin.VALIDATION_SHARE=0.3",
            "--gin.VOCABULARY='tokenizer/spiece.model'",
            "--gin.TextTask.passage_rows=1",
            "--gin.TARGET_LENGTH=48",
            "--gin.STEPS=3",
            "--gin.WARMUP=1",
            "--gin.EVALUATE_EVERY=3",
            "--workdir=pretrained",
        )
        assert pretrained["metric"] == "loss"
        assert pretrained["score"] == -pretrained["loss"]
        assert list(pretrained["text"]) == ["aio_02_train.jsonl"]
        yield folder


@pytest.fixture(scope="module")
def prompts(in_folder: Path) -> dict[str, Any]:
    return train(
        f"{RECIPES}/prompt_tuning.gin",
        *SHORT,
        "--gin.MODEL='pretrained/model'",
        "--gin.SEEDS=2",
        "--workdir=prompts",
    )


def test_every_member_has_matches_loss_and_ranks(prompts: dict[str, Any]):
    members = prompts["members"]
    assert [member["seed"] for member in members] == [0, 1]
    for member in members:
        assert (member["task"], member["examples"]) == ("jaqket", 10)
        assert member["metric"] == "exact_match"
        assert member["metrics"].keys() == METRICS
        assert member["score"] == member["metrics"]["exact_match"]
        assert member["metrics"]["gold_loss"] > 0
        assert 0 < member["metrics"]["gold_mrr"] <= 100
        assert member["untuned_metrics"].keys() == METRICS
        assert member["hand_written_metrics"].keys() == METRICS
        assert "hand_written" in member
        # What it stands behind changes what the model thinks of the answer.
        losses = {
            member[name]["gold_loss"]
            for name in ("metrics", "untuned_metrics", "hand_written_metrics")
        }
        assert len(losses) == 3
    one, other = (member["metrics"]["gold_loss"] for member in members)
    assert one != other


@pytest.mark.long
def test_the_loss_may_be_on_the_question_too(prompts: dict[str, Any]):
    whole = train(
        f"{RECIPES}/original.gin",
        *SHORT,
        "--gin.MODEL='pretrained/model'",
        "--workdir=whole",
    )
    assert whole["metrics"].keys() == METRICS
    # The frozen model answers the same questions, whatever the loss of training is on.
    other = prompts["members"][0]
    assert whole["seed"] == other["seed"]
    assert whole["untuned_metrics"] == pytest.approx(other["untuned_metrics"], rel=1e-4)
    # From the same start, by the same examples, it comes to another prompt.
    assert whole["metrics"]["gold_loss"] != other["metrics"]["gold_loss"]


def test_all_weights_can_be_tuned(prompts: dict[str, Any]):
    tuned = train(
        f"{RECIPES}/full_tuning.gin",
        *SHORT,
        "--gin.MODEL='pretrained/model'",
        "--workdir=tuned",
    )
    assert tuned["trains"] == "model"
    assert tuned["metrics"].keys() == METRICS
    assert (
        tuned["metrics"]["gold_loss"]
        != prompts["members"][0]["untuned_metrics"]["gold_loss"]
    )


def test_the_learned_prompt_can_be_read_and_asked(
    in_folder: Path, prompts: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    file = prompts["members"][0]["file"]
    capsys.readouterr()
    assert main(["inspect", f"--prompt=prompts/{file}"]) == 0
    assert re.search(r"\| task +\| jaqket +\|", capsys.readouterr().out)
    (in_folder / "asked.jsonl").write_text('{"question": "7番の町は何?"}\n')
    arguments = [f"--prompt=prompts/{file}", "--input=asked.jsonl"]
    assert main(["predict", *arguments]) == 0
    (answer,) = capsys.readouterr().out.splitlines()
    assert json.loads(answer)
    # The questions that it was trained on may be gone.
    assert main(["predict", *arguments, "--gin.DATA_DIR='nowhere'"]) == 0
    assert capsys.readouterr().out.splitlines() == [answer]
    assert main(["predict", *arguments, "--gin.DATA_DIR=None"]) == 0
    assert capsys.readouterr().out.splitlines() == [answer]


@pytest.mark.parametrize(
    "loss", ["answer", pytest.param("full_text", marks=pytest.mark.long)]
)
def test_the_doctor_knows_a_decoder_alone(prompts: dict[str, Any], loss: str):
    (file, _) = sorted(Path("prompts/prompts").iterdir())
    output = Path(f"doctor_{loss}.json")
    main(
        [
            "doctor",
            f"--prompt={file}",
            f"--output={output}",
            f"--gin.QuizTask.loss='{loss}'",
            "--gin.TARGET_LENGTH=24",
        ]
    )
    found = json.loads(output.read_text())["findings"]
    verdicts = {finding["check"]: finding["verdict"] for finding in found}
    for check in ("padding invariance", "cached decoding", "folded prompt"):
        assert verdicts[check] == "ok", found
    assert verdicts["gradient of each row"] == "ok", found
    # A model of three steps answers nothing right, and has no sentinels.
    assert verdicts["majority"] == "wrong"
    assert verdicts["LM adaptation"] == verdicts["label words"] == "skipped"
    effect = {finding["check"]: finding["number"] for finding in found}
    assert 0 < effect["effect of the prompt"] < 1


# huggingface_hub's own.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_the_card_of_a_shared_prompt_says_what_the_quiz_is(
    prompts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with hub_server.serve(monkeypatch, tmp_path / "cache") as hub:
        assert main(["push", "--prompt=prompts", "--repo=me/quiz"]) == 0
        held = hub.files("me/quiz")
    text = held["README.md"].decode()
    assert "the quiz of the AI King competition" in text
    assert r"texts written as 'QUESTION\[SEP\]ANSWER', loss on the answer" in text
    # The same for people who have PEFT alone.
    (name, *_) = [name for name in held if name.endswith("adapter_config.json")]
    assert json.loads(held[name])["task_type"] == "CAUSAL_LM"
