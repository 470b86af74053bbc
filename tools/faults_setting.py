"""The run that faults are tried on: a tiny T5, its data, and processes that train."""

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from make_skills import SKILLS, draw_sentence, make_vocabulary
from warm_process import WarmProcess

from jaxprompt.cli import main
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.shapes import Params
from jaxprompt.train.loggers.event_files import read_events

os.environ["JAX_PLATFORMS"] = "cpu"  # Of the processes too.
os.environ["TQDM_DISABLE"] = "1"
# All that one process compiled serves the others.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

Running = subprocess.Popen[str] | WarmProcess
"""A process of the command."""

STEPS = 32
LIMIT = 600
"""Seconds that a process may take."""

UMASK = 0o027
"""Of the run that nothing disturbs."""

SPEED = "examples_per_second"
"""What the log holds beside that which the run decides."""

UNKNOWN = 2
"""Id of every word that the vocabulary lacks: the id of no word that the data has."""

SIZES = T5Config(
    vocab_rows=64,
    width=16,
    heads=2,
    head_width=8,
    ffn_width=24,
    encoder_layers=1,
    decoder_layers=1,
    gated=True,
    activation="gelu_new",
    tied=False,
    scaled_logits=False,
)

_TASK = """
include 'gin/runs/prompt_tuning.gin'
MODEL = {model!r}
TASK = @OwnTask()
OwnTask.name = 'question'
OwnTask.files = {{'train': {train!r}, 'validation': {validation!r}}}
OwnTask.inputs = '{{text}}'
OwnTask.target = 'answer'
OwnTask.labels = {{'yes': 'yes', 'no': 'no'}}
INPUT_LENGTH = 16
TARGET_LENGTH = 2
PROMPT_LENGTH = 100
PROMPT_INIT = 'uniform'
METHOD = 'rank'
BATCH_SIZE = 8
DROPOUT = 0.1
STEPS = {steps}
EVALUATE_EVERY = 8
CHECKPOINT_EVERY = 2
LOGGERS = ('tensorboard', 'csv')
Pace.log_every = 3
"""


class Lost(AssertionError):
    """A fault cost something, or was not told as it should be."""


def expect(holds: bool, otherwise: str) -> None:
    """Raises Lost, with these words, unless something holds."""
    if not holds:
        raise Lost(otherwise)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A folder of files that no fault changes: each works on copies.

    Attributes:
        folder: Holds model/, data/, run.gin, and the workdirs `whole` and `stopped`.
    """

    folder: Path

    @property
    def gin(self) -> Path:
        """The run's configuration."""
        return self.folder / "run.gin"

    @property
    def model(self) -> Path:
        """The frozen model."""
        return self.folder / "model"

    @property
    def data(self) -> Path:
        """The folder of train.jsonl and validation.jsonl."""
        return self.folder / "data"

    @property
    def whole(self) -> Path:
        """The workdir of a run that nothing disturbed."""
        return self.folder / "whole"

    @property
    def stopped(self) -> Path:
        """The workdir of a run that was asked to stop halfway."""
        return self.folder / "stopped"

    def copy_stopped(self, workdir: Path) -> Path:
        """Returns a copy of the stopped run, to damage."""
        return shutil.copytree(self.stopped, workdir)

    def expect_same_end(self, workdir: Path) -> None:
        """Raises Lost unless a run ended with the bytes of the undisturbed one.

        Its result, its curves and its page must be the same too, but for the time it
        took and its own place.
        """
        made, whole = workdir / "prompt.safetensors", self.whole / "prompt.safetensors"
        expect(made.exists(), f"{workdir} has no prompt.safetensors")
        expect(made.read_bytes() == whole.read_bytes(), "its prompt has other bytes")
        outcome = read_outcome(workdir)
        for name, expected in read_outcome(self.whole).items():
            found = outcome[name]
            expect(found == expected, f"its {name} is another: {found} != {expected}")


_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d[+-]\d\d:\d\d")


def read_outcome(workdir: Path) -> dict[str, Any]:
    """Reads what a run left, without speeds, times and the place of its workdir."""
    results = json.loads((workdir / "result.json").read_text())
    del results["seconds"]
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    table = (workdir / "metrics.csv").read_text().splitlines()
    page = (workdir / "report.html").read_text().replace(str(workdir), "WORKDIR")
    page = re.sub(r"[\d.]+ seconds of", "SECONDS of", page)
    return {
        "result.json": results,
        "metrics.jsonl": [
            {name: x for name, x in json.loads(line).items() if name != SPEED}
            for line in lines
        ],
        "metrics.csv": [line for line in table if SPEED not in line],
        "report.html": _DATE.sub("DATE", page),
        "tensorboard": _read_events(workdir / "tensorboard"),
    }


def _read_events(folder: Path) -> list[tuple[str, int, float]]:
    """Reads TensorBoard's scalars: (name, step, value) of each event, sorted."""
    events = [event for path in folder.iterdir() for event in read_events(path)]
    return sorted(
        (value.tag, event.step, value.simple_value)
        for event in events
        for value in event.summary.value
        if value.tag != SPEED
    )


def make_setting(folder: Path) -> Setting:
    """Makes the files, and runs once to the end and once to the half.

    Raises:
        Lost: If the undisturbed run fails.
    """
    setting = Setting(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(setting.model)
    write_data(setting.data)
    write_gin(setting.gin, setting.model, setting.data)
    with start(setting.gin, setting.whole, umask=UMASK) as whole:
        half = stop_after(setting.gin, setting.stopped, 13, signal.SIGTERM)
        done = finish(whole)
    expect(done.status == 0, f"the undisturbed run failed: {done.errors}")
    expect(half == 128 + signal.SIGTERM, f"the run to stop ended with {half}")
    return setting


def write_model(
    folder: Path, change: Callable[[Params], Params] = lambda params: params
) -> None:
    """Writes the frozen model, changed, as a Hugging Face folder."""
    scratch = folder.with_name(f"{folder.name}.vocabulary")
    scratch.mkdir()
    make_vocabulary(scratch)
    backbone = T5(SIZES, vocabulary=str(scratch / "spiece.model"))
    save(folder, backbone, change(backbone.init(jax.random.key(0))))
    shutil.rmtree(scratch)


def write_data(folder: Path) -> None:
    """Writes sentences, and whether each is a question."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in {"train": 64, "validation": 16}.items():
        sentences = [draw_sentence(rng) for _ in range(count)]
        rows = [{"text": str(s), "answer": SKILLS["question"](s)} for s in sentences]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines)


def write_gin(path: Path, model: Path, data: Path) -> None:
    """Writes the configuration of the run on a model and data."""
    files = {split: str(data / f"{split}.jsonl") for split in ("train", "validation")}
    path.write_text(_TASK.format(model=str(model), steps=STEPS, **files))


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended.

    Attributes:
        status: The exit status; below 0 the signal that ended it.
        output: What it printed.
        errors: What it printed as errors.
    """

    status: int
    output: str
    errors: str

    def refusal(self) -> str:
        """Returns the line that says what is wrong; Lost unless there is just one."""
        told = [x for x in self.errors.splitlines() if x.startswith("jaxprompt: ")]
        expect("Traceback" not in self.errors, f"a traceback: {self.errors[-2000:]}")
        expect(self.status == 1, f"exit status {self.status}: {self.errors[-2000:]}")
        expect(len(told) == 1, f"not one line, but: {self.errors[-2000:]}")
        return told[0]

    def expect_refusal(self, *words: str) -> None:
        """Raises Lost unless it stopped with one line that holds these words."""
        line = self.refusal()
        for word in words:
            expect(word in line, f"{word!r} is not in: {line}")


@contextlib.contextmanager
def start(
    gin: Path,
    workdir: Path,
    *flags: str,
    inside: Sequence[str] = (),
    umask: int = -1,
) -> Iterator[Running]:
    """Starts a process that trains, which does not outlive the `with`.

    Args:
        gin: The configuration.
        workdir: The run's folder.
        *flags: Of the command line, besides.
        inside: A command that starts the other one.
        umask: The process's umask; -1 for this one's.
    """
    arguments = ["train", f"--gin_file={gin}", f"--workdir={workdir}", *flags]
    with tempfile.TemporaryDirectory() as printed:
        process: Running
        if inside:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", "jaxprompt", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                umask=umask,
            )
        else:
            process = WarmProcess(arguments, Path(printed), umask)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def finish(process: Running) -> Done:
    """Waits for the end of a process."""
    output, errors = process.communicate(timeout=LIMIT)
    status = process.poll()
    expect(status is not None, "it has not ended")
    return Done(status or 0, output, errors)


def train(
    gin: Path,
    workdir: Path,
    *flags: str,
    inside: Sequence[str] = (),
) -> Done:
    """Trains in a process of its own, to its end; see `start`."""
    with start(gin, workdir, *flags, inside=inside) as process:
        return finish(process)


def stop_after(gin: Path, workdir: Path, step: int, number: int) -> int:
    """Trains, and sends a signal as soon as a step is logged; returns the status."""
    with start(gin, workdir) as process:
        wait_for(workdir, step, process)
        process.send_signal(number)
        return finish(process).status


def wait_for(workdir: Path, step: int, process: Running) -> None:
    """Returns when a process has logged this step, or a later one, or has ended."""
    path = workdir / "metrics.jsonl"
    before = path.stat().st_mtime_ns if path.exists() else 0
    first = None
    while process.poll() is None:
        # A process that resumes writes the lines of the one before anew.
        if path.exists() and path.stat().st_mtime_ns != before:
            steps = re.findall(r'"step": (\d+),.*"loss"', path.read_text())
            logged = int(steps[-1]) if steps else 0
            first = logged if first is None else min(first, logged)
            if logged >= step and logged > first:
                return
        time.sleep(0.002)


def saved_steps(workdir: Path) -> list[int]:
    """Lists the steps of a run's checkpoints, the last one last."""
    names = (path.name for path in (workdir / "checkpoints").iterdir())
    return sorted(int(name) for name in names if name.isdigit())


def call(*arguments: str) -> Done:
    """Runs a command in this process: what it refuses, it refuses before training."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(arguments)
    return Done(status, output.getvalue(), errors.getvalue())
