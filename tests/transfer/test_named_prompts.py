"""Prompts under names: files and archives, and those that do not go together."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.prompts.file import write_prompt
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.runs import find_prompts
from jaxprompt.runs.transfer.similarity import compare
from jaxprompt.transfer.named import NamedPrompts, read_named


def write(path: Path, task: str, rows: np.ndarray, fingerprint: str = "2:aa") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = Provenance(
        backbone=f"model-{fingerprint}",
        revision=None,
        fingerprint=fingerprint,
        length=len(rows),
        width=rows.shape[1],
        task=task,
    )
    write_prompt(path, make_prompt(jnp.asarray(rows)), provenance)
    return path


def test_names_and_files(tmp_path: Path):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
    files = [
        write(tmp_path / "a" / "prompt.safetensors", "sst2", rows),
        write(tmp_path / "one.safetensors", "mnli", rows + 1),
        write(tmp_path / "two.safetensors", "mnli", rows + 2),
    ]
    archive = tmp_path / "more.npz"
    np.savez(archive, QQP=rows + 3, MRPC=rows + 4)
    found = read_named([*files, archive])
    assert found.names == ("sst2", "one", "two", "QQP", "MRPC")
    np.testing.assert_array_equal(found.rows[:, 0, 0], [1, 2, 3, 4, 5])
    assert found.take([3, 0]).files == (archive, files[0])
    assert found.provenances[1] is not None
    assert found.provenances[1].task == "mnli"
    assert found.provenances[3] is None


def test_a_sweep_holds_the_prompts_of_its_runs(tmp_path: Path):
    rows = np.ones((3, 4), np.float32)
    places = ["sst2/fresh/prompt", "mnli/fresh/prompt"]
    files = [
        write(tmp_path / "one" / f"{place}.safetensors", place[:4], rows)
        for place in places
    ]
    # By the name of the task, and no other file of tensors.
    (tmp_path / "one/sst2/model").mkdir()
    (tmp_path / "one/sst2/model/model.safetensors").write_bytes(b"")
    assert find_prompts([str(tmp_path / "one")]) == files[::-1]
    bank = write(tmp_path / "two/sst2/fresh/prompts/sst2-1.safetensors", "sst2", rows)
    assert find_prompts([str(tmp_path / "two")]) == [bank]


def test_prompts_of_several_seeds_have_the_type_of_their_task(tmp_path: Path):
    draw = np.random.default_rng(0)
    files = [
        write(tmp_path / f"{task}-{seed}.safetensors", task, draw.normal(size=(3, 4)))
        for task, seed in (("sst2", 0), ("sst2", 1), ("imdb", 0), ("mnli", 0))
    ]
    found = compare(files)
    types = {(pair["one"], pair["other"]): pair["type"] for pair in found["pairs"]}
    assert types["sst2-0", "sst2-1"] == "same task"
    assert types["sst2-1", "imdb"] == "same type"
    assert types["sst2-0", "mnli"] == "other type"
    assert set(found["means"]["C_concat"]) == {"same task", "same type", "other type"}


def test_refusals(tmp_path: Path):
    rows = np.ones((3, 4), np.float32)
    one = write(tmp_path / "one.safetensors", "sst2", rows)
    longer = write(tmp_path / "longer.safetensors", "mnli", np.ones((5, 4)))
    other = write(tmp_path / "other.safetensors", "mnli", rows, "2:bb")
    with pytest.raises(
        ValueError, match=r"'sst2' and 'mnli' do not .* are 3 soft .*, and 5 soft"
    ):
        read_named([one, longer])
    wider = write(tmp_path / "wider.safetensors", "mnli", np.ones((3, 6)))
    with pytest.raises(ValueError, match=r"they are 4 and 6 wide, so .* one model"):
        read_named([one, wider])
    with pytest.raises(
        ValueError, match=r"of model-2:aa \(fingerprint 2:aa\) and model-2:bb \(2:bb\)"
    ):
        read_named([one, other])
    archive = tmp_path / "a.npz"
    np.savez(archive, sst2=rows)
    with pytest.raises(ValueError, match=r"two prompts are called 'sst2'"):
        read_named([one, archive])
    np.savez(archive, sst2=rows[0])
    with pytest.raises(ValueError, match=r"'sst2' is float32 \[4\], .* floats \[P, D"):
        read_named([archive])
    archive.write_text("no archive")
    with pytest.raises(ValueError, match=r"a.npz is no NumPy archive of prompts"):
        read_named([archive])
    with pytest.raises(FileNotFoundError, match=r"no archive at .*b.npz: check"):
        read_named([tmp_path / "b.npz"])


def test_a_prompt_that_is_more_than_soft_tokens_is_named():
    keys = jnp.ones((2, 3, 2, 4))
    prompt = make_prompt(jnp.ones((3, 4)), {"encoder": make_deep(keys, keys)})
    found = NamedPrompts(("sst2",), (prompt,), (None,), (Path("sst2.safetensors"),))
    with pytest.raises(ValueError, match=r"prompt 'sst2': .* takes soft tokens alone"):
        _ = found.rows
