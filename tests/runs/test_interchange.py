"""Other programs' prompts become prompt files, which say what is not known of them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jaxprompt.config import Run
from jaxprompt.models.backbone import load
from jaxprompt.prompts.file import check_backbone, load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs.inspection import inspect
from jaxprompt.runs.interchange import export_prompt, import_prompt

T5 = "google/t5-base-lm-adapt"


@pytest.fixture
def released(shared: Path) -> Path:
    return shared / "data" / "prompts" / "t5_1_1_lm100k_base"


@pytest.mark.parametrize(
    ("task", "mean_norm"), [("mrpc", 868), ("rte", 903), ("sst2", 1385)]
)
def test_the_released_prompts_come_in_are_read_and_go_out_again(
    released: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    task: str,
    mean_norm: int,
):
    source, made = released / f"{task}.npy", tmp_path / "prompt.safetensors"
    import_prompt(source, made, backbone=T5, task=task)
    assert f"wrote {made}: 100 soft tokens of width 768 for {T5}" in (
        capsys.readouterr().out
    )
    report = inspect(Run(), made, without_model=True)
    assert round(report["norms"]["mean"]) == mean_norm
    printed = capsys.readouterr().out
    assert (
        f"mean norm {report['norms']['mean']:.1f} (percentiles 5, 50, 95: " in printed
    )
    assert f"google: {task}.npy" in printed
    rows = np.load(source)
    norms = [token["norm"] for token in report["tokens"]]
    np.testing.assert_allclose(norms, np.linalg.norm(rows, axis=1), rtol=1e-6)

    out = tmp_path / "back.npy"
    export_prompt(made, out)
    assert out.read_bytes() == source.read_bytes()
    np.testing.assert_array_equal(safetensors.numpy.load_file(made)["prompt"], rows)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A prompt as that program leaves it, for a model of the nano's width."""
    path = tmp_path / "encoder.prompt.prompt.prompt"
    with path.open("wb") as file:
        np.save(file, np.ones((3, 128), np.float32))
    return path


def test_its_provenance_says_what_is_known_and_no_more(source: Path, tmp_path: Path):
    made = tmp_path / "prompt.safetensors"
    import_prompt(source, made, backbone="t5-old")
    _, provenance = load_prompt(made)
    known = {
        "backbone": "t5-old",
        "revision": None,
        "fingerprint": "",
        "task": "",
        "score": None,
        "step": 0,
        "seed": None,
        "init": "file",
        "config": "",
        "source": "google: encoder.prompt.prompt.prompt",
    }
    assert known.items() <= dataclasses.asdict(provenance).items()


def test_its_backbone_cannot_be_verified_so_using_it_takes_a_flag(
    source: Path, tmp_path: Path
):
    made = tmp_path / "prompt.safetensors"
    import_prompt(source, made, backbone="bundled:nano")
    _, provenance = load_prompt(made)
    nano, _ = load("bundled:nano")
    with pytest.raises(
        ValueError, match=r"cannot be verified .* say --another_backbone"
    ):
        check_backbone(provenance, nano)
    check_backbone(provenance, nano, override=True)
    wide = dataclasses.replace(provenance, width=256)
    with pytest.raises(ValueError, match="prompt width 256 != model width 128"):
        check_backbone(wide, nano, override=True)
    with pytest.raises(ValueError, match="cannot be verified"):
        inspect(Run(), made)
    report = inspect(Run(), made, another_backbone=True)
    assert len(report["tokens"][0]["words"]) == 5


def test_a_prompt_of_this_project_goes_out_without_its_start(tmp_path: Path):
    nano, _ = load("bundled:nano")
    rows = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float32)
    file, out = tmp_path / "prompt.safetensors", tmp_path / "out.npy"
    save_prompt(file, make_prompt(rows), nano, start=make_prompt(rows + 1))
    export_prompt(file, out)
    np.testing.assert_array_equal(np.load(out), rows)


def test_mistakes_are_told_and_leave_nothing(source: Path, tmp_path: Path):
    made = tmp_path / "prompt.safetensors"
    with pytest.raises(ValueError, match=r"unknown form 'peff': use one of \['google'"):
        import_prompt(source, made, form="peff", backbone="t5")
    with pytest.raises(ValueError, match=r"no backbone: .* as --backbone="):
        import_prompt(source, made, backbone="")
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        import_prompt(tmp_path / "none.npy", made, backbone="t5")
    with pytest.raises(ValueError, match=r"no folder .*none for p"):
        import_prompt(source, tmp_path / "none" / "p", backbone="t5")
    with pytest.raises(ValueError, match="unknown form"):
        export_prompt(made, tmp_path / "out.npy", form="")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]

    made.write_text("mine")
    with pytest.raises(ValueError, match=r"exists: .* or say --overwrite"):
        import_prompt(source, made, backbone="t5")
    assert made.read_text() == "mine"
    import_prompt(source, made, backbone="t5", overwrite=True)
    with pytest.raises(ValueError, match=r"exists: .* or say --overwrite"):
        export_prompt(made, source)
    report = inspect(Run(), made, without_model=True, output=tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == report
