"""Convergence by its written rule, and the two speed-ups of a transferred start."""

import json
from pathlib import Path

import pytest

from jaxprompt.cli import main
from jaxprompt.transfer.convergence import Learning, speed_up

FRESH = Learning((10, 20, 30, 40), (50.0, 70.0, 79.6, 80.0))
SOON = Learning((10, 20, 30, 40), (79.4, 79.8, 90.0, 81.0))
WORSE = Learning((10, 20, 30, 40), (60.0, 60.0, 60.0, 60.2))


def test_rule_and_speed_ups():
    assert FRESH.converged() == 30
    assert FRESH.converged(0.0) == 40
    assert SOON.converged() == 30
    assert WORSE.converged() == 10
    assert FRESH.interval == 10
    found = speed_up({0: FRESH, 1: FRESH}, {0: SOON, 1: WORSE, 7: SOON})
    assert found.seeds == (0, 1)
    assert (found.fresh_steps, found.steps) == (30, 20)
    assert found.convergence == pytest.approx((1 * 3) ** 0.5)
    assert (found.ratios, found.bests) == ((1, 3), (90, 60.2))
    # The fresh run's converged score is 79.5: SOON has it at 20, WORSE never.
    assert found.comparable == pytest.approx(1.5)
    assert found.reached == 1
    assert (found.fresh_best, found.best) == (80, pytest.approx(75.1))
    assert speed_up({0: FRESH}, {0: WORSE}).comparable is None


def test_refusals():
    with pytest.raises(ValueError, match=r"seeds \[0\] of the fresh start and \[1\]"):
        speed_up({0: FRESH}, {1: SOON})
    rare = Learning((20, 40), (1.0, 2.0))
    with pytest.raises(ValueError, match=r"evaluations every 10 and 20 steps: .*one"):
        speed_up({0: FRESH}, {0: rare})
    with pytest.raises(ValueError, match=r"2 steps and 1 scores"):
        Learning((1, 2), (1.0,))


def write_run(folder: Path, task: str, learned: dict[int, Learning]) -> Path:
    folder.mkdir()
    members = [
        {
            **dict.fromkeys(("untuned", "majority", "score", "illegal"), 50.0),
            **{"task": task, "split": "validation", "metric": "acc", "examples": 8},
            **{"metrics": {"acc": 50.0}, "backbone": "model", "seed": seed},
        }
        for seed in learned
    ]
    several = {"members": members} if len(members) > 1 else {}
    result = {**members[0], **several, "trains": "prompt", "steps": 40, "seconds": 1.0}
    (folder / "result.json").write_text(json.dumps(result))
    lines = []
    for place, step in enumerate((10, 20, 30, 40)):
        scores = {seed: one.scores[place] for seed, one in learned.items()}
        line: dict[str, float] = {"step": step, "validation/score": 0.0}
        names = {f"validation/{task}-{seed}/score": x for seed, x in scores.items()}
        if len(scores) == 1:
            names = {"validation/score": scores.popitem()[1]}
        lines.append(json.dumps({**line, **names}))
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def test_command_on_folders_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fresh = write_run(tmp_path / "fresh", "imdb", {0: FRESH, 1: FRESH})
    soon = write_run(tmp_path / "from_sst2", "imdb", {0: SOON, 1: WORSE})
    output = tmp_path / "starts.json"
    assert main(["transfer", "start", str(fresh), str(soon), f"--output={output}"]) == 0
    told = capsys.readouterr().out
    assert "within 0.5 points of the run's best; evaluations every 10 steps" in told
    assert "1.50 (1 of 2 seeds)" in told
    assert "1.73 [1.00, 3.00]" in told
    assert "75.1 [60.2, 90.0]" in told
    found = json.loads(output.read_text())
    assert found["from_sst2"]["convergence"] == pytest.approx(3**0.5)
    assert (tmp_path / "starts.png").read_bytes()[:4] == b"\x89PNG"
    single = write_run(tmp_path / "single", "imdb", {0: FRESH})
    assert main(["transfer", "start", str(single), str(soon)]) == 0

    other = write_run(tmp_path / "other", "mnli", {0: SOON})
    assert main(["transfer", "start", str(fresh), str(other)]) == 1
    assert "trained on imdb, and" in capsys.readouterr().err
    assert main(["transfer", "start", str(fresh), str(tmp_path / "absent")]) == 1
    assert "name the folder of a finished run" in capsys.readouterr().err
