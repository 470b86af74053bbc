"""Two real processes train as one: the same bytes, stopped, killed and resumed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import save_tiny
from warm_process import WarmProcess

from jaxprompt.sharding import host_share, make_mesh

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT = 300
"""Seconds."""


@pytest.fixture
def started() -> Iterator[list[WarmProcess]]:
    """Every process that the test starts: none of them outlives it, if it fails."""
    processes: list[WarmProcess] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a random T5 of the nano's vocabulary."""
    save_tiny(tmp_path / "model")
    return tmp_path


def start(
    workdir: Path, process: int | None, more: tuple[str, ...] = ()
) -> WarmProcess:
    """Starts the run as Slurm starts one process of two; alone, with two devices."""
    flags = [
        *("train", f"--workdir={workdir}"),
        f"--gin_file={REPOSITORY}/gin/runs/prompt_tuning.gin",
        f"--gin_file={REPOSITORY}/gin/recipes/quickstart/mini_sentiment.gin",
        f"--gin.MODEL='{workdir.parent / 'model'}'",
        # Two hosts do not cut their batches, which would change the rounding.
        *("--gin.SEEDS=2", "--gin.PROMPT_LENGTH=15", "--gin.Data.cut=False", *more),
        *("--gin.STEPS=24", "--gin.BATCH_SIZE=8", "--gin.CHECKPOINT_EVERY=2"),
        *("--gin.EVALUATE_EVERY=12", "--gin.Evaluation.num_examples=16"),
    ]
    # XLA reads it when the process begins to compute.
    devices = (
        f"--xla_force_host_platform_device_count={1 if process is not None else 2}"
    )
    environment = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {devices}"}
    if process is not None:
        flags.append("--distributed")
        environment |= {
            "SLURM_JOB_ID": str(10_000 + os.getpid() % 4096),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_STEP_NUM_NODES": "1",
            "SLURM_NTASKS": "2",
            "SLURM_PROCID": str(process),
            "SLURM_LOCALID": str(process),
        }
    printed = tempfile.mkdtemp(prefix="printed", dir=workdir.parent)
    return WarmProcess(flags, Path(printed), environment=environment)


def said(folder: Path) -> str:
    """Returns all that the processes printed."""
    return "".join(path.read_text() for path in sorted(folder.glob("printed*/*")))


def wait_for_step(workdir: Path, step: int, processes: list[WarmProcess]) -> None:
    """Returns once a checkpoint of this step, or of a later one, is whole."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        # A folder that is still being written has a longer name.
        done = (workdir / "checkpoints").glob("[0-9]*/commit_success.txt")
        steps = [path.parent.name for path in done]
        if any(int(name) >= step for name in steps if name.isdecimal()):
            return
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    raise TimeoutError(f"no checkpoint of step {step}")


def prompts(workdir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (workdir / "prompts").iterdir()}


def wait_for_end(processes: list[WarmProcess]) -> list[int]:
    return [process.wait(LIMIT) for process in processes]


@pytest.mark.parametrize(
    "killed",
    [False, pytest.param(True, marks=pytest.mark.long)],
    ids=["stopped", "stopped and killed"],
)
def test_two_processes_are_one_whatever_happens_to_them(
    folder: Path, started, killed: bool
):
    together = folder / "together"
    # Dropout, which takes most of the compiling, goes with the longer of the two.
    more = ("--gin.DROPOUT=0.1",) if killed else ()

    def both() -> list[WarmProcess]:
        pair = [start(together, process, more) for process in (0, 1)]
        started.extend(pair)
        return pair

    # SIGTERM to one of them stops both, at the same step, with the state saved.
    pair = both()
    wait_for_step(together, 4, pair)
    pair[1].send_signal(signal.SIGTERM)
    assert wait_for_end(pair) == [143, 143], said(folder)
    assert said(folder).count("its state is saved") == 2

    if killed:  # SIGKILL leaves the last checkpoint.
        pair = both()
        wait_for_step(together, 14, pair)
        for process in pair:
            process.kill()
        assert wait_for_end(pair) == [-9, -9]
        assert not (together / "result.json").exists()

    # Undisturbed, in one process of two devices.
    alone = folder / "alone"
    started.append(start(alone, None, more))
    assert wait_for_end([started[-1], *both()]) == [0, 0, 0], said(folder)
    resumed = said(folder).count("resuming after step")  # The first host says so.
    assert resumed == 1 + killed
    expected = prompts(alone)
    assert len(expected) == 2
    assert prompts(together) == expected


def test_a_job_that_cannot_be_found_out_is_told_what_to_say(tmp_path: Path):
    flags = [
        *("train", "--distributed", f"--workdir={tmp_path}"),
        f"--gin_file={REPOSITORY}/gin/runs/prompt_tuning.gin",
        f"--gin_file={REPOSITORY}/gin/recipes/quickstart/mini_sentiment.gin",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "jaxprompt", *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 1
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("jaxprompt:")]
    assert "say --coordinator_address=HOST:PORT --num_processes=N" in line


class Device:
    """A device of a host that is not there."""

    def __init__(self, process_index: int):
        self.process_index = process_index


class Mesh:
    """What `host_share` reads of a mesh."""

    def __init__(self, rows: list[list[int]]):
        self.devices = np.array([[Device(p) for p in row] for row in rows])
        self.shape = {"data": len(rows), "model": len(rows[0])}


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([[0], [0], [1], [1]], (0, 2)),
        ([[1], [0]], (1, 2)),  # Shares go by rows of the mesh, not by process.
        ([[0, 1], [2, 3]], (0, 2)),  # Two hosts split the weights of the same rows.
        ([[0, 1]], (0, 1)),
    ],
)
def test_a_host_brings_the_rows_of_its_own_devices(rows, share):
    assert host_share(Mesh(rows)) == share


def test_shares_that_overlap_are_refused():
    with pytest.raises(ValueError, match="a data axis of 3 over 2 processes"):
        host_share(Mesh([[0], [0], [1]]))


def test_one_process_brings_all():
    assert host_share(make_mesh(8, 1)) == (0, 1)
