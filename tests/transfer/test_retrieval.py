"""The nearest prompts of a bank, mixes of prompts, and the index of a bank."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.cli import main
from jaxprompt.prompts.file import load_prompt, write_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.transfer.retrieval import Near, mix, rank, start_weights
from jaxprompt.transfer.similarity import SIMILARITIES

ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def write(
    folder: Path, name: str, rows: np.ndarray, task: str = "", **said: Any
) -> Path:
    fields = {"fingerprint": "2:aa", "config": f"config of {task or name}", **said}
    provenance = Provenance(
        backbone="model",
        revision=None,
        length=len(rows),
        width=4,
        task=task or name,
        score=50.0,
        **fields,
    )
    path = folder / f"{name}.safetensors"
    write_prompt(path, make_prompt(jnp.asarray(rows)), provenance)
    return path


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    write(folder, "far", -ROWS)
    write(folder, "near", ROWS + 0.1)
    write(folder, "nearer", ROWS + 0.01)
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_rank_by_every_similarity():
    bank = np.stack([-ROWS, ROWS + 0.01, ROWS + 0.1])
    for by in SIMILARITIES:
        found = rank(ROWS, bank, by)
        own = [
            SIMILARITIES[by](*np.asarray([ROWS, other], np.float64)) for other in bank
        ]
        assert [near.similarity for near in found] == sorted(own, reverse=True)
        assert [own[near.place] for near in found] == sorted(own, reverse=True)
    assert rank(ROWS, bank, "E_concat")[0].place == 1
    masked = rank(ROWS, bank, "E_concat", np.array([True, False, False]))
    assert masked[0].similarity != rank(ROWS, bank, "E_concat")[0].similarity


def test_weights_of_a_start():
    near = [Near(4, 0.6), Near(0, 0.2)]
    assert start_weights(near, "best") == [1]
    assert start_weights(near, "mean") == [0.5, 0.5]
    assert start_weights(near, "weighted") == pytest.approx([0.75, 0.25])
    with pytest.raises(ValueError, match=r"a similarity of -0.1000 gives no weight"):
        start_weights([*near, Near(1, -0.1)], "weighted")
    with pytest.raises(ValueError, match=r"unknown start 'worst': use one of best, "):
        start_weights(near, "worst")


def test_mix_is_the_weighted_sum():
    prompts = [make_prompt(jnp.asarray(ROWS + n)) for n in (0, 1)]
    np.testing.assert_allclose(
        mix(prompts, [0.25, 0.75]).rows[0], ROWS + 0.75, atol=1e-5
    )
    with pytest.raises(ValueError, match=r"weights \[1.0\] for 2 prompts: give each"):
        mix(prompts, [1.0])


def test_nearest_through_an_index_and_its_starts(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked = write(tmp_path, "new", ROWS)
    index, output = tmp_path / "bank.json", tmp_path / "ranks.json"
    assert run("transfer", "index", bank, f"--output={index}") == 0
    (entry,) = [
        one for one in json.loads(index.read_text())["prompts"] if one["task"] == "near"
    ]
    assert entry["file"] == "bank/near.safetensors"
    assert (entry["score"], entry["fingerprint"]) == (50.0, "2:aa")
    start = tmp_path / "start.safetensors"
    assert (
        run(
            *("nearest", asked, index, "--by=E_concat", f"--output={output}"),
            *("--top=2", "--start=mean", f"--write={start}"),
        )
        == 0
    )
    ranks = json.loads(output.read_text())["nearest"]
    assert [one["name"] for one in ranks] == ["nearer", "near", "far"]
    assert "wrote" in capsys.readouterr().out
    prompt, said = load_prompt(start)
    np.testing.assert_allclose(prompt.rows[0], ROWS + 0.055, atol=1e-5)
    assert said.source == "mix: 0.5 * nearer + 0.5 * near"
    assert (said.task, said.config, said.score, said.init) == ("", "", None, "mix")
    assert said.fingerprint == "2:aa"

    write(bank, "near", ROWS)
    assert run("nearest", asked, index) == 1
    assert "near.safetensors has changed since" in capsys.readouterr().err
    (bank / "near.safetensors").unlink()
    assert run("nearest", asked, index) == 1
    assert "which is not there: write it by" in capsys.readouterr().err
    index.write_text('{"prompts": [{}]}')
    assert run("nearest", asked, index) == 1
    assert "bank.json is no index of prompts" in capsys.readouterr().err


def test_average_keeps_what_all_share(bank: Path, tmp_path: Path):
    files = [
        write(tmp_path, f"seed-{seed}", ROWS + seed, "sst2", seed=seed)
        for seed in (0, 1)
    ]
    output = tmp_path / "average.safetensors"
    assert run("average", *files, f"--output={output}") == 0
    prompt, said = load_prompt(output)
    np.testing.assert_allclose(prompt.rows[0], ROWS + 0.5, atol=1e-5)
    assert (said.task, said.config) == ("sst2", "config of sst2")
    assert (said.score, said.seed) == (None, None)
    assert (
        run("mix", *files, "--weights=2,-1", f"--output={output}", "--overwrite") == 0
    )
    np.testing.assert_allclose(load_prompt(output)[0].rows[0], ROWS - 1, atol=1e-5)


def test_a_mix_leaves_heads_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [
        write(tmp_path, f"seed-{seed}", ROWS + seed, "sst2", seed=seed, head="classes")
        for seed in (0, 2)
    ]
    output = tmp_path / "start.safetensors"
    command = ("nearest", files[0], files[1], f"--write={output}")
    assert run(*command) == 0
    assert "their heads are not in it" in capsys.readouterr().out
    prompt, said = load_prompt(output)
    np.testing.assert_array_equal(prompt.rows[0], ROWS + 2)
    assert (said.head, said.task, said.config) == ("words", "", "")


def test_what_does_not_go_together(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "out.safetensors"
    near = bank / "near.safetensors"
    other = write(tmp_path, "other", ROWS, fingerprint="2:bb")
    longer = write(tmp_path, "longer", np.ones((5, 4), np.float32))
    archive = tmp_path / "a.npz"
    np.savez(archive, one=ROWS, two=ROWS)
    for command, told in {
        ("mix", near, other, "--weights=1,1"): "(fingerprint 2:aa) and model (2:bb)",
        ("average", near, longer): "they are 3 soft tokens, and 5 soft tokens",
        ("mix", near, bank / "far.safetensors", "--weights=1"): "for 2 prompts",
        ("mix", near, "--weights=half"): "weights 'half' are no numbers",
        ("average", archive): "'one', 'two' do not say of which model they are",
    }.items():
        assert run(*command, f"--output={output}") == 1
        assert told in capsys.readouterr().err
        assert not output.exists()
    for command, told in {
        ("nearest", other, bank): "(fingerprint 2:bb) and model (2:aa)",
        ("nearest", near, near): "no prompt in the bank besides",
        ("nearest", near, bank, "--by=best"): "unknown similarity 'best': use one of",
        ("nearest", near, bank, "--top=0"): "top 0: use 1 or more",
        ("nearest", archive, bank): "holds 2 prompts: name one",
    }.items():
        assert run(*command) == 1
        assert told in capsys.readouterr().err
