"""The check of a GPU runs whole on a CPU, in small, without TensorFlow."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from findings import OURS, PEFT, Check, Report, Timing
from registry import MODELS, shrunk, weight_bytes, why_not

REPOSITORY = Path(__file__).resolve().parents[2]
HAS_PEFT = all(importlib.util.find_spec(name) for name in ("torch", "peft"))


# Each part is a process of its own, which takes seconds to start.
@pytest.mark.parametrize(
    "model", ["Llama 3 8B", pytest.param("T5 1.1 large", marks=pytest.mark.long)]
)
def test_every_part_runs_on_a_cpu_without_tensorflow(model: str, tmp_path: Path):
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in ("seqio", "t5", "tensorflow", "gin", "gguf"):
        (absent / f"{name}.py").write_text("raise ImportError('not here')")
    check = [sys.executable, "tools/gpu/check.py", "--tiny", f"--models={model}"]
    done = subprocess.run(
        [*check, f"--output={tmp_path}"],
        env={
            **os.environ,
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
            "PYTHONPATH": f"{absent}:{REPOSITORY}",
        },
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "check.json").read_text())
    # PEFT's decode step is a difference of two times, which may come to nothing.
    busy = {x["part"] for x in found["skipped"] if x["reason"].endswith("was busy")}
    assert all("decode step" in part for part in busy)
    skipped = {skipped["part"] for skipped in found["skipped"]} - busy
    without = {"logits against PyTorch", f"PEFT beside {model}"}
    assert skipped == (set() if HAS_PEFT else without)
    assert "float32" in found["machine"]["float32 products are computed in"]

    runs = {(x["side"], x["model"], x["run"], x["prompt"]) for x in found["timings"]}
    wanted = [("prompt step", 3), ("forward", 3), ("decode step", 3)]
    for side in (OURS, PEFT) if HAS_PEFT else (OURS,):
        for run in wanted:
            told = f"PEFT beside {model}, {run[0]}, P {run[1]}"
            assert (side, model, *run) in runs or (side == PEFT and told in busy)
    for timing in found["timings"]:
        assert timing["seconds"] > 0
        assert timing["side"] == PEFT or timing["flops"] > 0

    # Attention, resuming and trained twice; a decoder's fold, and PyTorch's logits.
    checks = 3 + (model == "Llama 3 8B") + HAS_PEFT
    assert len(found["checks"]) == checks
    assert all(check["passed"] for check in found["checks"]), found["checks"]
    assert "| of product |" in done.stdout
    assert "| holds |" in done.stdout


def test_what_does_not_fit_is_told_by_its_bytes():
    config = MODELS["Llama 3 8B"]
    assert weight_bytes(config) == pytest.approx(2 * 8.03e9, rel=0.001)
    assert why_not(config, 80 * 10**9) is None
    reason = why_not(config, 16 * 10**9)
    assert reason is not None
    assert "16.1 GB in bfloat16, more than 85% of the device's 16.0 GB" in reason


@pytest.mark.parametrize("model", MODELS)
def test_a_model_shrinks_within_its_family(model: str):
    small = shrunk(MODELS[model])
    assert type(small) is type(MODELS[model])
    assert weight_bytes(small) < 10**6


def test_the_table_puts_peft_beside_the_same_run():
    report = Report()
    report.add(Timing(OURS, "XL", "forward", 20, 0.1, 16, 5e13, 1e12, 1e15))
    report.add(Timing(PEFT, "XL", "forward", 20, 0.15, 16))
    report.add(Timing(PEFT, "XL", "decode step", 20, 0.2, 16))
    report.add(Check("resumed as unbroken", "XL", False, "3 of 8 values differ"))
    lines = report.text().splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        *("XL", "forward", "20", "100.00", "160.0", "500.0", "50.0%", "10000.0"),
        *("150.00", "1.50"),
    ]
    assert "| XL | decode step | 20 | -" in " ".join(lines[3].split())
    assert "NO" in lines[-1]
