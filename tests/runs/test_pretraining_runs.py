"""From a folder of text to a vocabulary, a model and its adaptation, by command."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxprompt.cli import main
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.models.tokens import Tokens
from jaxprompt.runs import training
from jaxprompt.runs.keep.workdir import write_result

TOKENIZER, PRETRAIN, LM_ADAPT = (
    f"--gin_file=gin/recipes/nano/{name}.gin"
    for name in ("tokenizer", "pretrain", "lm_adapt")
)
OBJECTIVES = ("span_corruption", "high_corruption", "prefix_lm", "deshuffle")
SMALL = (
    "--gin.TEXT='text'",
    "--gin.VALIDATION_SHARE=0.1",
    "--gin.PASSAGE_WORDS=20",
    "--gin.INPUT_LENGTH=64",
    "--gin.TARGET_LENGTH=64",
    "--gin.EVALUATE_EXAMPLES=16",
    "--gin.LOG_EVERY=1",
    "--gin.WARMUP=1",
    "--gin.BATCH_SIZE=16",
    "--gin.OPTIMIZER='adamw'",
    "--gin.LEARNING_RATE=0.003",
)
PIECES = ("--gin.PIECES=160", "--gin.SENTINELS=96")
NEW = (
    PRETRAIN,
    *SMALL,
    "--gin.VOCABULARY='vocabulary/spiece.model'",
    # The recipe's skills need more text than a test has.
    f"--gin.OBJECTIVES={dict.fromkeys(OBJECTIVES, 0.5)}",
    "--gin.EMBEDDINGS='random'",
    "--gin.T5Config.width=16",
    "--gin.T5Config.heads=2",
    "--gin.T5Config.head_width=8",
    "--gin.T5Config.ffn_width=24",
    "--gin.T5Config.encoder_layers=1",
    "--gin.T5Config.decoder_layers=1",
    "--gin.STEPS=12",
    "--gin.EVALUATE_EVERY=6",
    "--gin.CHECKPOINT_EVERY=3",
)
ADAPT = (
    LM_ADAPT,
    *SMALL,
    "--gin.MODEL='pretrained/model'",
    "--gin.OBJECTIVES={'prefix_lm': 1.0}",
    "--gin.STEPS=4",
    "--gin.EVALUATE_EVERY=2",
)
WORDS = "kettle stove rain baker loaf friday garden window letter morning".split()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def lines(workdir: Path) -> list[dict[str, float]]:
    path = workdir / "metrics.jsonl"
    whole = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in whole]


def copy_then_write(workdir: Path, result: Mapping[str, Any]) -> Path:
    """Copies what a run leaves that is killed before it writes its result."""
    shutil.copytree(workdir, f"{workdir}_unfinished")
    return write_result(workdir, result)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text, a finished run of each recipe, and one before its end."""
    folder = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    (folder / "text").mkdir()
    for name in ("a", "b"):
        sentences = [
            " ".join([f"{i}", *draw.choice(WORDS, 7)]) + "." for i in range(800)
        ]
        (folder / "text" / f"{name}.txt").write_text("\n\n".join(sentences))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        vocabulary = (TOKENIZER, *SMALL, *PIECES, "--workdir=vocabulary")
        assert main(["train", *vocabulary]) == 0
        with pytest.MonkeyPatch.context() as copying:
            copying.setattr(training, "write_result", copy_then_write)
            assert main(["train", *NEW, "--workdir=pretrained"]) == 0
        assert main(["train", *ADAPT, "--workdir=adapted"]) == 0
    return folder


@pytest.fixture
def at_made(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has what the runs read, and room for others."""
    for name in (
        "text",
        "vocabulary",
        "pretrained",
        "pretrained_unfinished",
        "adapted",
    ):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_vocabulary_run_leaves_a_vocabulary_and_its_record(made: Path, capsys):
    folder = made / "vocabulary"
    assert {path.name for path in folder.iterdir()} == {
        "operative_config.gin",
        "result.json",
        "spiece.model",
        "tokenizer_config.json",
    }
    assert load_vocabulary(folder).vocab_size == 160 + 96
    result = read_json(folder / "result.json")
    assert result["pieces"] == 160
    assert 1 < result["tokens_per_word"] < 6
    assert list(result["text"]) == ["a.txt", "b.txt"]


def test_a_vocabulary_is_trained_once(at_made: Path, capsys):
    before = (at_made / "vocabulary" / "spiece.model").stat().st_mtime_ns
    again = (TOKENIZER, *SMALL, *PIECES, "--workdir=vocabulary")
    assert main(["train", *again]) == 0
    assert "holds a finished run" in capsys.readouterr().out
    assert (at_made / "vocabulary" / "spiece.model").stat().st_mtime_ns == before


def test_a_new_model_has_the_sizes_asked_for_and_its_vocabulary(made: Path):
    backbone, params = load(made / "pretrained" / "model")
    assert (backbone.width, backbone.vocab_rows) == (16, 256)
    assert backbone.config.tied
    assert params["embedding"].shape == (256, 16)
    # The sentinels' number went along.
    vocabulary = load_vocabulary(str(backbone.vocabulary))
    assert vocabulary.vocab_size == 256
    assert vocabulary.decode([255]) == "<extra_id_0>"


def test_the_result_tells_both_losses_of_each_objective(made: Path):
    result = read_json(made / "pretrained" / "result.json")
    assert set(result["objectives"]) == set(OBJECTIVES)
    for part in result["objectives"].values():
        assert 0 < part["loss"] < 10
        assert 0 < part["other_input_loss"] < 10
        assert 0 < part["unigram_entropy"] < np.log(256)
        assert 0 <= part["accuracy"] <= 1
    assert sum(p["rate"] for p in result["objectives"].values()) == pytest.approx(1)
    mean = sum(p["rate"] * p["loss"] for p in result["objectives"].values())
    assert result["loss"] == pytest.approx(mean)
    assert result["score"] == -result["loss"]
    assert result["parameters"] > 256 * 16
    assert list(result["text"]) == ["a.txt", "b.txt"]


def test_the_log_has_the_curves_of_every_objective_and_the_best_step_wins(made: Path):
    workdir = made / "pretrained"
    validations = [line for line in lines(workdir) if "validation/loss" in line]
    assert [line["step"] for line in validations] == [6, 12]
    for objective in OBJECTIVES:
        for field in ("loss", "other_input_loss", "accuracy"):
            assert f"validation/{objective}/{field}" in validations[0]
    best = min(validations, key=lambda line: line["validation/loss"])
    result = read_json(workdir / "result.json")
    assert result["steps"] == best["step"]
    assert result["loss"] == pytest.approx(best["validation/loss"], rel=1e-5)
    assert validations[1]["validation/loss"] < validations[0]["validation/loss"]


def test_adaptation_starts_from_the_model_that_it_is_given(made: Path):
    before = read_json(made / "pretrained" / "result.json")["objectives"]["prefix_lm"]
    result = read_json(made / "adapted" / "result.json")
    assert set(result["objectives"]) == {"prefix_lm"}
    assert result["loss"] < before["loss"]
    first, _ = load(made / "pretrained" / "model")
    second, _ = load(made / "adapted" / "model")
    assert second.config == first.config
    assert second.fingerprint != first.fingerprint


def test_killed_and_resumed_it_ends_with_the_same_bytes(
    at_made: Path, capsys: pytest.CaptureFixture[str]
):
    # What a run leaves that is killed behind its last but one checkpoint.
    killed = Path("killed")
    shutil.copytree(at_made / "pretrained_unfinished", killed)
    shutil.rmtree(killed / "model")
    last = max(killed.glob("checkpoints/*"), key=lambda path: int(path.name))
    shutil.rmtree(last)
    assert list(killed.glob("checkpoints/*"))
    assert main(["train", *NEW, "--workdir=killed"]) == 0
    assert "resuming after step" in capsys.readouterr().out

    name = "model/model.safetensors"
    assert Path("killed", name).read_bytes() == Path("pretrained", name).read_bytes()
    results = [read_json(Path(w, "result.json")) for w in ("pretrained", "killed")]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]


def test_pytorch_gives_the_same_logits(made: Path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = made / "pretrained" / "model"
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    backbone, params = load(folder)
    vocabulary = load_vocabulary(str(backbone.vocabulary))
    inputs = np.array([[*vocabulary.encode("kettle rain"), 1]])
    assert tokenizer("kettle rain").input_ids == inputs[0].tolist()
    targets = np.array([[*vocabulary.encode("loaf"), 1]])
    read = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
    with torch.no_grad():
        wanted = theirs(
            input_ids=torch.tensor(inputs), decoder_input_ids=torch.tensor(read)
        ).logits.numpy()
    table = backbone.table(params)
    ours = backbone.logits(
        params,
        Tokens(table[inputs], np.ones_like(inputs)),
        Tokens(table[read], np.ones_like(read)),
    )
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


def test_a_prompt_may_be_judged_by_its_loss(at_made: Path, capsys):
    rows = [{"text": f"{w} morning", "answer": w} for w in WORDS]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    Path("words.jsonl").write_text(content)
    task = (
        "--gin_file=gin/runs/prompt_tuning.gin",
        "--gin_file=gin/tasks/own.gin",
        "--gin.MODEL='adapted/model'",
        "--gin.OwnTask.files={'train': 'words.jsonl', 'validation': 'words.jsonl'}",
        "--gin.OwnTask.target='answer'",
        "--gin.OwnTask.labels=None",
        "--gin.INPUT_LENGTH=16",
        "--gin.PROMPT_LENGTH=4",
        "--gin.PROMPT_INIT='vocabulary'",
        "--gin.BATCH_SIZE=8",
        "--gin.STEPS=2",
        "--gin.EVALUATE_EVERY=1",
        "--gin.METHOD='loss'",
    )
    assert main(["train", *task, "--workdir=prompted"]) == 0
    result = read_json(Path("prompted", "result.json"))
    assert result["metric"] == "loss"
    assert result["score"] == -result["loss"]
    assert 0 < result["untuned_loss"] < 20
    assert set(result["objectives"]) == {"reviews"}

    prompt = "--prompt=prompted/prompt.safetensors"
    assert main(["evaluate", prompt, "--output=scores.json"]) == 0
    assert read_json(Path("scores.json"))["loss"] == pytest.approx(result["loss"])
    capsys.readouterr()
    assert main(["predict", prompt, "--input=words.jsonl", "--output=out.jsonl"]) == 1
    assert "method 'loss' gives no answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*NEW, "--gin.TEXT='nowhere'"], "no folder of text at 'nowhere'"),
        ([*NEW, "--gin.VOCABULARY=None"], "a new model has no vocabulary: train one"),
        ([*NEW, "--gin.VOCABULARY='nowhere'"], "no vocabulary at 'nowhere'"),
        ([*NEW, "--gin.T5Config.vocab_rows=128"], "vocab_rows 128 < 256 ids"),
        ([*NEW, "--gin.T5Config.heads=0"], "heads 0 is no positive integer"),
        ([*NEW, "--gin.MODEL='pretrained/model'"], "and an architecture: give a name"),
        ([*NEW, "--gin.ARCHITECTURE=None"], "no model: give a Hub name or a folder"),
        ([*NEW, "--gin.TRAINS='prompt'"], "a prompt for a new model of random weights"),
        ([*NEW, "--gin.TRAINS='words'"], "trains 'words': use one of"),
        ([*NEW, "--gin.OBJECTIVES={'spam': 1.0}"], "no objective 'spam'"),
        ([*NEW, "--gin.OPTIMIZER='sgd'"], "unknown optimizer 'sgd'"),
        ([*NEW, "--gin.CLIP_NORM=-1.0"], "clip norm -1.0"),
        (
            [*NEW, "--gin.Evaluation.method='greedy'"],
            "method 'greedy' for the raw text of task text",
        ),
        (
            [TOKENIZER, *SMALL, "--gin.PIECES=100000"],
            "no vocabulary of 100000 pieces from",
        ),
        (
            [TOKENIZER, *SMALL, "--gin.Data.task=@OwnTask()"],
            "a vocabulary is trained on raw text",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    at_made: Path, capfd, arguments: list[str], message: str
):
    assert main(["train", *arguments, "--workdir=new"]) == 1
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("new").exists()
