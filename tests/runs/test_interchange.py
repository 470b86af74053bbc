"""Other programs' prompts become prompt files, which say what is not known of them."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jaxprompt.cli import main
from jaxprompt.config import Run
from jaxprompt.interop.forms import FORMS
from jaxprompt.models.load import load
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import check_backbone
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
    export_prompt([made], out)
    assert out.read_bytes() == source.read_bytes()
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(made)["prompt/rows"], rows
    )


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
    export_prompt([file], out)
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
        export_prompt([made], tmp_path / "out.npy", form="")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]

    made.write_text("mine")
    with pytest.raises(ValueError, match=r"exists: .* or say --overwrite"):
        import_prompt(source, made, backbone="t5")
    assert made.read_text() == "mine"
    import_prompt(source, made, backbone="t5", overwrite=True)
    with pytest.raises(ValueError, match=r"exists: .* or say --overwrite"):
        export_prompt([made], source)
    report = inspect(Run(), made, without_model=True, output=tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == report


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A folder of three prompts of the nano, as a bank's run leaves them."""
    nano, _ = load("bundled:nano")
    folder = tmp_path / "prompts"
    folder.mkdir()
    for place, task in enumerate(("wic", "rte", "boolq")):
        prompt = make_prompt(np.full((2, 128), place + 1.0, np.float32))
        save_prompt(folder / f"{task}-0.safetensors", prompt, nano, task=task, seed=0)
    return folder


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_bank_is_one_table_and_comes_back_as_files(bank: Path, tmp_path: Path):
    table, folder = tmp_path / "table.npy", tmp_path / "back"
    form = "--format=tensorrt_llm"
    assert command("export", bank, form, f"--output={table}") == 0
    # By task, as the folder lists them to every command.
    assert np.load(table)[:, 0, 0].tolist() == [3, 2, 1]
    assert np.load(table).shape == (3, 2, 128)
    given = ("import", table, form, "--backbone=bundled:nano")
    assert command(*given, f"--output={folder}", "--task=boolq,rte,wic") == 0
    for number, task in enumerate(("boolq", "rte", "wic")):
        prompt, provenance = load_prompt(folder / f"{task}.safetensors")
        assert (provenance.task, provenance.source) == (task, "tensorrt_llm: table.npy")
        np.testing.assert_array_equal(prompt.rows, np.full((1, 2, 128), 3.0 - number))
    unnamed = tmp_path / "unnamed"
    assert command(*given, f"--output={unnamed}") == 0
    names = sorted(path.name for path in unnamed.iterdir())
    assert names == [f"row-{row}.safetensors" for row in range(3)]
    one = tmp_path / "one.safetensors"
    assert command(*given, f"--output={one}", "--row=1", "--task=rte") == 0
    prompt, provenance = load_prompt(one)
    assert (provenance.task, float(prompt.rows[0, 0, 0])) == ("rte", 2.0)


def test_mistakes_in_a_bank_are_told(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / "table.npy"

    def refused(*arguments: object) -> str:
        assert command(*arguments, "--format=tensorrt_llm") == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "tensorrt_llm in bfloat16: it is written in float32 or float16" in refused(
        "export", bank, f"--output={table}", "--dtype=bfloat16"
    )
    assert "names no model: leave --backbone out" in refused(
        "export", bank, f"--output={table}", "--backbone=t5"
    )
    assert "leave --gin and --another_backbone out" in refused(
        "export", bank, f"--output={table}", "--gin.STEPS=3"
    )
    assert "is written as a file, but" in refused(
        "export", bank, f"--output={bank}", "--overwrite"
    )
    others = bank / "other-0.safetensors"
    rows = np.ones((2, 128), np.float32)
    nano, _ = load("bundled:nano")
    save_prompt(others, make_prompt(rows), dataclasses.replace(nano, name="t5"))
    assert "a table serves one model" in refused("export", bank, f"--output={table}")
    others.unlink()
    assert not table.exists()

    assert command("export", bank, "--format=tensorrt_llm", f"--output={table}") == 0
    given = ("import", table, "--backbone=t5", f"--output={tmp_path / 'back'}")
    assert "row 3 of" in refused(*given, "--row=3")
    assert "task 'a,b' for 3 prompts" in refused(*given, "--task=a,b")
    assert "task 'a,b,a' for 3 prompts" in refused(*given, "--task=a,b,a")
    assert "task '../a' cannot name a file" in refused(*given, "--task=../a,b,c")
    assert not (tmp_path / "back").exists()


def test_a_form_of_one_prompt_takes_one(bank: Path, tmp_path: Path):
    files = sorted(bank.iterdir())
    with pytest.raises(ValueError, match="form peft holds one prompt, not 3"):
        export_prompt(files, tmp_path / "out", form="peft")


def test_peft_says_its_backbone_and_what_was_left_out(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    adapter, made = tmp_path / "adapter", tmp_path / "prompt.safetensors"
    source = bank / "rte-0.safetensors"
    export = ("export", source, "--format=peft", f"--output={adapter}")
    assert command(*export) == 0
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "bundled:nano"
    assert (config["num_layers"], config["num_attention_heads"]) == (3, 4)
    assert command(*export) == 1
    assert "exists: name another file, or say --overwrite" in capsys.readouterr().err
    assert command(*export, "--overwrite", "--dtype=bfloat16", "--backbone=t5-x") == 0
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "t5-x"

    weights = adapter / "adapter_model.safetensors"
    doubled = np.repeat(safetensors.numpy.load_file(weights)["prompt_embeddings"], 2, 0)
    safetensors.numpy.save_file({"prompt_embeddings": doubled}, weights)
    capsys.readouterr()
    assert command("import", adapter, "--format=peft", f"--output={made}") == 0
    assert "kept the first 2 of 4 rows" in capsys.readouterr().out
    prompt, provenance = load_prompt(made)
    assert (provenance.backbone, provenance.source) == ("t5-x", "peft: adapter")
    np.testing.assert_array_equal(prompt.rows, np.full((1, 2, 128), 2.0))


def test_the_help_and_the_page_name_every_form(capsys: pytest.CaptureFixture[str]):
    page = (Path(__file__).parents[2] / "docs" / "interchange.md").read_text()
    for name, more in (("import", ()), ("export", ("stablehlo", "peft_prefix"))):
        with pytest.raises(SystemExit):
            command(name, "--help")
        text = " ".join(capsys.readouterr().out.split())
        for form in (*FORMS, *more):
            assert re.search(rf"\b{form}: ", text)
            assert f"`{form}`" in page
