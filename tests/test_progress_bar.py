"""Where standard error is no terminal, progress is a plain line now and then."""

import os
import subprocess
import sys
import termios
from pathlib import Path

PROGRAM = """
import jaxprompt.screen.progress_bar as progress
progress.SECONDS = 0.0
with progress.progress_bar("training", total=4, unit="step") as bar:
    for _ in range(4):
        bar.set_postfix({"loss": "0.5"}, refresh=False)
        bar.update()
    with progress.progress_bar("va\\x1blidation", total=2, leave=False) as inner:
        inner.update(2)
progress.SECONDS = 60.0
with progress.progress_bar("quick", total=1) as bar:
    bar.update()
"""


def run(stderr: int = subprocess.PIPE, program: str = PROGRAM, **variables: str) -> str:
    others = {k: v for k, v in os.environ.items() if k != "TQDM_DISABLE"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={**others, **variables}, stderr=stderr, text=True, check=True
    )
    return done.stderr


def test_a_log_file_gets_plain_lines_and_what_is_quick_gets_none():
    said = run()
    assert all(x.isprintable() for x in said.replace("\n", ""))
    lines = said.splitlines()
    assert any(
        line.startswith("training: 2 of 4 (50%), ") and "loss=0.5" in line
        for line in lines
    )
    assert any("va\\x1blidation: 2 of 2 (100%)" in line for line in lines)
    assert "quick" not in said


def test_the_environment_may_turn_it_off():
    assert run(TQDM_DISABLE="1") == ""


def test_a_notebook_gets_a_bar(tmp_path: Path):
    (tmp_path / "ipykernel.py").touch()
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert "training:   0%|" in run(
        program=f"import ipykernel{PROGRAM}", PYTHONPATH=path
    )


def test_a_terminal_gets_a_bar():
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    run(stderr=theirs)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\rtraining:" in said
    assert "| 4/4 [" in said
