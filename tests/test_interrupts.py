"""SIGINT and SIGTERM at any moment of a command: one quiet line, and 130 or 143."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxprompt.screen.interrupts import Interrupted, interruptible

PROGRAM = """
import signal, sys

module, number, *sys.argv[1:] = sys.argv[1:]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            signal.raise_signal(int(number))

sys.meta_path.insert(0, Finder())
from jaxprompt.cli import main
sys.exit(main())
"""
"""Sends itself a signal when it is about to import a module."""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Hears SIGINT, which a shell lets all that it starts in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("jaxprompt.command.flags", signal.SIGINT),
        ("jax._src.core", signal.SIGTERM),
        pytest.param(
            "tensorflow.python.ops.math_ops", signal.SIGINT, marks=pytest.mark.long
        ),
        ("jaxprompt.runs.diagnosis", signal.SIGTERM),
    ],
)
def test_a_signal_during_start_up(module: str, number: signal.Signals):
    command = [sys.executable, "-c", PROGRAM, module, str(int(number)), "doctor"]
    command += ["--gin_file=gin/runs/prompt_tuning.gin", "--gin_file=gin/tasks/rte.gin"]
    command += ["--gin.MODEL='bundled:nano'"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == f"jaxprompt: stopped by {number.name}\n"
    assert done.stdout == ""
    assert done.returncode == 128 + number


SCRIPT = """\
#!{python}
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
from jaxprompt.cli import main
sys.exit(main())
"""
"""What pip makes of the command, but for the signal."""


@pytest.mark.parametrize(
    "module", ["jaxprompt.screen.interrupts", "jaxprompt.screen.quoting"]
)
def test_the_command_is_quiet_before_it_hears_signals(module: str, tmp_path: Path):
    script = tmp_path / "jaxprompt"
    script.write_text(SCRIPT.format(python=sys.executable, module=module))
    done = subprocess.run(
        [sys.executable, str(script), "list", "tasks"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert "Traceback" not in done.stderr
    # A shell tells both as 130.
    assert done.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_signals_mean_afterwards_what_they_meant_before(number: signal.Signals):
    before = signal.getsignal(number)
    with (
        pytest.raises(Interrupted, match=f"stopped by {number.name}") as stop,
        interruptible(ends_process=False),
    ):
        os.kill(os.getpid(), number)
    assert stop.value.signal == number
    assert signal.getsignal(number) is before


def test_another_error_that_a_signal_became_is_the_signal():
    @interruptible(ends_process=False)
    def start_up() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as stop:  # As an extension module does it.
            raise ImportError("initialization failed") from stop

    with pytest.raises(Interrupted, match="SIGINT"):
        start_up()


def test_a_signal_while_python_collects_garbage_is_not_lost():
    # JAX has such a callback; what it raises is dropped.
    def call_back(phase: str, info: dict) -> None:
        if phase == "stop":
            gc.callbacks.remove(call_back)
            signal.raise_signal(signal.SIGTERM)

    @interruptible(ends_process=False)
    def collect() -> None:
        gc.callbacks.append(call_back)
        gc.collect()
        time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(Interrupted, match="SIGTERM"):
        collect()
    assert sys.unraisablehook is hook


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(ends_process=False):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_failed_body_keeps_quiet_stays_quiet(monkeypatch: pytest.MonkeyPatch):
    """A checkpoint that found the disk full: its threads tell of it later."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)

    def quiet(raised: object) -> None:
        del raised

    def fail() -> None:
        with interruptible(ends_process=False):
            sys.unraisablehook = quiet
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert sys.unraisablehook is quiet
