"""Prompts are pushed with all that tells of them, and pulled as what they were."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import huggingface_hub
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hub_server import Hub
from made_results import made_member, made_result

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import Data, OwnTask, PromptStart, Run
from jaxprompt.config.answering import describe
from jaxprompt.interop import peft
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gemma import Gemma3Config
from jaxprompt.models.load import load
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.file import load_prompt, save_prompt, write_prompt
from jaxprompt.prompts.prompt import make_prompt

# The Hub's client itself calls httpx in a way that httpx would rather not have.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ADAPTER = {"adapter_config.json", "adapter_model.safetensors"}
BESIDE = {"result.json", "report.html", "operative_config.gin", "README.md"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_server.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture(scope="module")
def nano() -> T5:
    return load("bundled:nano")[0]


@pytest.fixture(scope="module")
def config() -> str:
    """What a run on the bundled data leaves in its prompts."""
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/rte.gin"]
    settings = ["MODEL='bundled:nano'", "DATA_DIR='glue_data/RTE'"]
    return configure(files, settings)[1]


def draw(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 128)).astype(np.float32)


def make_run(folder: Path, nano: T5, config: str, scores: list[float]) -> Path:
    """Makes what a run leaves: of one prompt, or of a bank of several seeds."""
    several = len(scores) > 1
    (folder / "prompts" if several else folder).mkdir(parents=True)
    members = []
    for seed, score in enumerate(scores):
        name = f"prompts/rte-{seed}.safetensors" if several else "prompt.safetensors"
        details: dict[str, Any] = {"task": "rte", "seed": seed, "config": config}
        save_prompt(
            folder / name, make_prompt(jnp.asarray(draw(seed))), nano, **details
        )
        members.append(made_member(seed=seed, score=score, backbone="bundled:nano"))
    (folder / "result.json").write_text(json.dumps(made_result(*members)))
    (folder / "report.html").write_text("<p>a page</p>")
    (folder / "operative_config.gin").write_text(config)
    (folder / "metrics.jsonl").write_text("")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "state.bin").write_bytes(b"state")
    return folder


@pytest.fixture
def run(tmp_path: Path, nano: T5, config: str) -> Path:
    return make_run(tmp_path / "run", nano, config, [61.0])


@pytest.fixture
def bank(tmp_path: Path, nano: T5, config: str) -> Path:
    return make_run(tmp_path / "bank", nano, config, [60.0, 62.0, 61.0])


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs a command that fails; returns the one line that it says."""
    capsys.readouterr()
    assert command(*arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_run_goes_and_comes_back(
    hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    prompt = run / "prompt.safetensors"
    assert command("push", f"--prompt={prompt}", "--repo=me/rte", "--private") == 0
    printed = capsys.readouterr().out
    assert f"to a new private repository {hub.url}/me/rte:" in printed
    assert f"prompt.safetensors ({prompt.stat().st_size:,} bytes)" in printed
    held = hub.files("me/rte")
    assert held.keys() == {".gitattributes", "prompt.safetensors", *ADAPTER, *BESIDE}
    assert hub.repositories["me/rte"].private

    output = tmp_path / "pulled"
    assert command("pull", "me/rte", f"--output={output}") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"jaxprompt evaluate --prompt={output / 'prompt.safetensors'}"
    del held[".gitattributes"]
    assert {path.name: path.read_bytes() for path in output.iterdir()} == held
    assert (output / "prompt.safetensors").read_bytes() == prompt.read_bytes()
    assert (output / "report.html").read_text() == "<p>a page</p>"
    # The same rows for people who have PEFT alone.
    np.testing.assert_array_equal(peft.read(output).prompts[0].rows[0], draw(0))


def test_the_card_is_filled_from_the_run(hub: Hub, run: Path):
    assert command("push", f"--prompt={run}", "--repo=me/rte") == 0
    text = hub.files("me/rte")["README.md"].decode()
    data = huggingface_hub.ModelCard(text).data.to_dict()
    (result,) = data["model-index"][0]["results"]
    assert [metric["value"] for metric in result["metrics"]] == [60.0, 62.0]
    _, provenance = load_prompt(run / "prompt.safetensors")
    assert provenance.fingerprint in text
    assert "one seed (0)" in text
    assert "rte from official files in glue_data/RTE" in text
    assert "train to train, validation to choose the best step" in text
    assert "which flatters them" in text
    assert "adafactor, learning rate 0.3" in text
    assert "DATA_DIR = 'glue_data/RTE'" in text
    # The bundled model is always at hand: three soft tokens with five words each.
    words = text[text.index("## Words that") :]
    near = [line for line in words.splitlines() if line.startswith("| ")][1:]
    assert [line.count("(0.") for line in near if "`" in line] == [5, 5, 5]


@pytest.mark.parametrize("add_bos", [True, False])
def test_a_decoders_prompt_is_shared_for_its_own_kind_of_model(
    hub: Hub, tmp_path: Path, add_bos: bool
):
    """Gemma multiplies words by the root of its width, and no rows of PEFT's.

    Its tokenizer begins a text as the prompt's run began it.
    """
    sizes = {"vocab_size": 40, "width": 16, "heads": 2, "kv_heads": 1, "head_width": 8}
    sizes |= {"ffn_width": 24, "layers": 2, "positions": 64}
    config = Gemma3Config(**sizes, query_scalar=8.0)
    rows = draw(0)[:, :16]
    file = tmp_path / "prompt.safetensors"
    task = OwnTask(name="own", inputs="{text}", target="label")
    told = describe(Run(data=Data(task=task, add_bos=add_bos)))
    backbone = Decoder(config, "gemma")
    save_prompt(file, make_prompt(jnp.asarray(rows)), backbone, answering=told)
    assert command("push", f"--prompt={file}", "--repo=me/gemma") == 0
    output = tmp_path / "pulled"
    assert command("pull", "me/gemma", f"--output={output}") == 0
    np.testing.assert_array_equal(peft.read(output).prompts[0].rows[0], 4 * rows)
    card = hub.files("me/gemma")["README.md"].decode()
    assert "model = AutoModelForCausalLM.from_pretrained(" in card
    bare = "" if add_bos else ", add_special_tokens=False"
    assert f'return_tensors="pt"{bare})' in card


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": "{slots:1} {text} {slots:2}"}, "{slots:2}' has some within it"),
        ({"inputs": "{slots:3} {text}"}, ""),
        ({"roles": {"system": "{slots:3}", "user": "{text}"}}, "within the conversat"),
        ({"roles": {"user": "{text}"}}, ""),
    ],
)
def test_a_prompt_within_its_text_is_not_put_in_front_of_it(
    hub: Hub, nano: T5, tmp_path: Path, capsys, settings: dict, message: str
):
    task = OwnTask(name="own", target="label", labels={"0": "no"}, **settings)
    told = describe(Run(data=Data(task=task), prompt=PromptStart(length=3)))
    file = tmp_path / "prompt.safetensors"
    rows = make_prompt(jnp.asarray(draw(0)))
    save_prompt(file, rows, nano, task="own", answering=told)
    push = ("push", f"--prompt={file}", "--repo=me/own")
    export = ("export", file, "--format=peft", f"--output={tmp_path / 'out'}")
    for asked, who in ((push, "push, which adds a copy"), (export, "form peft puts")):
        if message:
            line = refused(capsys, *asked)
            assert who in line
            assert message in line
        else:
            assert command(*asked) == 0
    assert (tmp_path / "out").exists() != bool(message)


def test_a_step_that_no_validation_chose_is_not_said_to_be_the_best(
    hub: Hub, tmp_path: Path, nano: T5, config: str
):
    config = config.replace("EVALUATE_EVERY = 1000", "EVALUATE_EVERY = 0")
    run = make_run(tmp_path / "run", nano, config, [61.0])
    assert command("push", f"--prompt={run}", "--repo=me/rte") == 0
    text = hub.files("me/rte")["README.md"].decode()
    assert "train to train, validation for the scores" in text
    assert "30000, none validated" in text
    for words in ("best", "flatters", "training and validation"):
        assert words not in text


def test_without_its_model_the_card_has_no_words(
    hub: Hub, tmp_path: Path, nano: T5, config: str
):
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, make_prompt(jnp.asarray(draw(0))), nano, task="rte", seed=0)
    prompt, known = load_prompt(path)
    fields = {**vars(known), "backbone": "google/t5-small", "revision": "abc"}
    write_prompt(path, prompt, type(known)(**fields))
    assert command("push", f"--prompt={path}", "--repo=me/rte") == 0
    text = hub.files("me/rte")["README.md"].decode()
    assert "Words that the soft tokens" not in text
    # Plain Python leaves no configuration, and no default is told for it.
    assert "learning rate" not in text
    # No model of the Hub is asked for.
    assert not hub.asked("t5-small")


def test_a_bank_goes_with_all_its_prompts(
    hub: Hub, bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert command("push", f"--prompt={bank}", "--repo=me/bank") == 0
    names = {f"prompts/rte-{seed}.safetensors" for seed in range(3)}
    names |= {f"peft/rte-{seed}/{name}" for seed in range(3) for name in ADAPTER}
    assert hub.files("me/bank").keys() == {".gitattributes", *names, *BESIDE}
    text = hub.files("me/bank")["README.md"].decode()
    assert "3 seeds, which score 61.0 ± 1.0" in text
    assert 'from_pretrained(model, "me/bank", subfolder="peft/rte-0")' in text

    output = tmp_path / "a bank"
    assert command("pull", "me/bank", f"--output={output}") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last)[2:] == ["--ensemble", f"--prompt={output / 'prompts'}"]
    for seed in range(3):
        prompt, _ = load_prompt(output / "prompts" / f"rte-{seed}.safetensors")
        np.testing.assert_array_equal(prompt.rows[0], draw(seed))
        adapter = peft.read(output / "peft" / f"rte-{seed}").prompts[0]
        np.testing.assert_array_equal(adapter.rows[0], draw(seed))


def test_prompts_of_several_runs_go_with_the_configuration_of_each(
    hub: Hub, tmp_path: Path, nano: T5, config: str
):
    for seed, steps in enumerate((300, 700)):
        own = config.replace("STEPS = 30000", f"STEPS = {steps}")
        assert own != config
        save_prompt(
            tmp_path / f"{steps}.safetensors",
            make_prompt(jnp.asarray(draw(seed))),
            nano,
            task="rte",
            seed=seed,
            config=own,
        )
    assert command("push", f"--prompt={tmp_path}", "--repo=me/two") == 0
    text = hub.files("me/two")["README.md"].decode()
    for steps in (300, 700):
        place = text.index(f"### Training of prompts/{steps}.safetensors\n")
        assert f"{steps} at most" in text[place : place + 600]
        assert f"STEPS = {steps}\n" in text


def test_one_prompt_of_a_bank_brings_the_scores_of_all(hub: Hub, bank: Path):
    best = bank / "prompts" / "rte-1.safetensors"
    assert command("push", f"--prompt={best}", "--repo=me/best") == 0
    held = hub.files("me/best")
    assert held["prompt.safetensors"] == best.read_bytes()
    text = held["README.md"].decode()
    assert "Of these 3 prompts 1 is here, the best" in text
    assert len(json.loads(held["result.json"])["members"]) == 3


def test_what_does_not_belong_together_is_told_and_not_sent(
    hub: Hub,
    run: Path,
    bank: Path,
    nano: T5,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    (run / "result.json").write_text(json.dumps(made_result(made_member(seed=4))))
    push = ("push", "--repo=me/rte", f"--prompt={run}")
    assert "tells of rte seed 4, but" in refused(capsys, *push)
    (run / "result.json").write_text("{")
    assert "result.json is not JSON" in refused(capsys, *push)
    assert "no prompt file at" in refused(
        capsys, "push", "--repo=me/rte", f"--prompt={tmp_path / 'none'}"
    )
    (bank / "result.json").unlink()
    rows, known = load_prompt(bank / "prompts" / "rte-2.safetensors")
    other = type(known)(**{**vars(known), "fingerprint": "0" * 64})
    write_prompt(bank / "prompts" / "rte-2.safetensors", rows, other)
    line = refused(capsys, "push", "--repo=me/rte", f"--prompt={bank}")
    assert "a repository holds prompts of one model" in line
    assert hub.log == []


def test_another_prompt_there_takes_overwrite(
    hub: Hub, run: Path, bank: Path, capsys: pytest.CaptureFixture[str]
):
    assert command("push", f"--prompt={bank}", "--repo=me/x") == 0
    push = ("push", f"--prompt={run}", "--repo=me/x")
    assert "already holds another prompt" in refused(capsys, *push)
    assert command(*push, "--overwrite") == 0
    assert "prompts/rte-0.safetensors is removed" in capsys.readouterr().out
    held = hub.files("me/x")
    assert held.keys() == {".gitattributes", "prompt.safetensors", *ADAPTER, *BESIDE}


def test_a_pull_writes_where_it_may_and_nowhere_else(
    hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert command("push", f"--prompt={run}", "--repo=me/rte") == 0
    output = tmp_path / "pulled"
    pull = ("pull", "me/rte", f"--output={output}")
    assert command(*pull) == 0
    hub.log.clear()
    assert "exists: name another file, or say --overwrite" in refused(capsys, *pull)
    (output / "mine.txt").write_text("mine")
    assert "holds mine.txt" in refused(capsys, *pull, "--overwrite")
    assert hub.log == []
    (output / "mine.txt").unlink()
    for mine in ("prompts/mine.safetensors", "prompts/notes.txt", "peft/x/notes"):
        (output / mine).parent.mkdir(parents=True)
        (output / mine).write_text("mine")
        assert f"holds {mine}, which the repo" in refused(capsys, *pull, "--overwrite")
        assert (output / mine).read_text() == "mine"
        shutil.rmtree(output / Path(mine).parts[0])
    (output / "result.json").write_text("old")
    assert command(*pull, "--overwrite") == 0
    assert json.loads((output / "result.json").read_text())["task"] == "rte"
    link = tmp_path / "link"
    link.symlink_to(output)
    line = refused(capsys, "pull", "me/rte", f"--output={link}", "--overwrite")
    assert "link is a link to" in line
    assert "no folder" in refused(
        capsys, "pull", "me/rte", f"--output={tmp_path / 'none' / 'x'}"
    )


def test_what_is_no_prompt_leaves_nothing(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tensors = safetensors.numpy.save({"weights": draw(0)})
    hub.make("you/x", {"prompt.safetensors": tensors})
    before = sorted(tmp_path.iterdir())
    pull = ("pull", "you/x", f"--output={tmp_path / 'pulled'}")
    assert (
        "jaxprompt: you/x: prompt.safetensors holds the tensors ['weights'] and no "
        in refused(capsys, *pull)
    )
    hub.make("you/x", {"prompt.safetensors": b"\x80\x04 a pickle of another name"})
    assert "is not a whole safetensors file" in refused(capsys, *pull)
    assert sorted(tmp_path.iterdir()) == before


def test_a_prompt_of_unknown_weights_says_so_to_the_end(
    hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    prompt, known = load_prompt(run / "prompt.safetensors")
    path = tmp_path / "taken" / "prompt.safetensors"
    path.parent.mkdir()
    write_prompt(path, prompt, type(known)(**{**vars(known), "fingerprint": ""}))
    assert command("push", f"--prompt={path}", "--repo=me/x", "--revision=taken") == 0
    assert "only\nwith `--another_backbone`" in (
        hub.files("me/x", "taken")["README.md"].decode()
    )
    output = tmp_path / "pulled"
    assert command("pull", "me/x", "--revision=taken", f"--output={output}") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" --another_backbone")


def test_without_a_token_or_a_network_one_line_says_so(
    hub: Hub,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    push = ("push", f"--prompt={run}", "--repo=me/rte")
    pull = ("pull", "me/rte", f"--output={tmp_path / 'pulled'}")
    assert "no repository me/rte" in refused(capsys, *pull)
    monkeypatch.delenv("HF_TOKEN")
    assert "no Hub token: set HF_TOKEN" in refused(capsys, *push)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no answer from http://127.0.0.1:9" in refused(capsys, *pull)
