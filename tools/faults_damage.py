"""Faults of processes, disks and files while a run goes on: what each must not cost."""

import dataclasses
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from faults_setting import (
    STEPS,
    UNKNOWN,
    Done,
    Setting,
    call,
    expect,
    finish,
    saved_steps,
    start,
    stop_after,
    train,
    wait_for,
    write_gin,
    write_model,
)

from jaxprompt.shapes import Params

Fault = Callable[[Setting, Path, random.Random], None]
"""Tries a fault in an empty folder, with its own random choices; raises Lost."""


class CannotTry(Exception):
    """This system does not let the fault be made; says why."""


def kill_often(
    setting: Setting, folder: Path, draw: random.Random, times: int = 2
) -> None:
    """Kills one run again and again, by SIGKILL and SIGTERM in turn."""
    workdir = folder / "run"
    for turn, step in enumerate(sorted(draw.sample(range(1, STEPS - 5), times))):
        number = (signal.SIGKILL, signal.SIGTERM)[turn % 2]
        status = stop_after(setting.gin, workdir, step, number)
        # Only SIGKILL is not heard.
        ended = -number if number == signal.SIGKILL else 128 + number
        expect(status == ended, f"{number.name} after step {step} gave status {status}")
    _end_well(setting, workdir)


def fill_file_limit(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Lets no file grow beyond what a checkpoint takes, halfway through a run."""
    del draw
    workdir = setting.copy_stopped(folder / "run")
    last = saved_steps(workdir)[-1]
    # In blocks of 512 bytes. What is too large is an error then, not a signal.
    limited = "trap '' XFSZ; ulimit -f 16; exec \"$@\""
    done = train(setting.gin, workdir, inside=["sh", "-c", limited, "sh"])
    kept = f"after step {last} is kept"
    done.expect_refusal("cannot save step", "File too large", kept)
    _end_well(setting, workdir, f"resuming after step {last}")


def fill_disk(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Fills a small disk, which is mounted for this process alone, while it saves."""
    workdir, kept = folder / "disk", folder / "kept"
    workdir.mkdir()
    disk, saved = shlex.quote(str(workdir)), shlex.quote(str(kept))
    stopped = shlex.quote(str(setting.stopped))
    mount = (
        f"mount -t tmpfs -o size=4m none {disk} && cp -r {stopped}/. {disk} && "
        f"dd if=/dev/zero of={disk}/ballast bs=1k 2>/dev/null; "
        f"truncate -s -{draw.randrange(8, 24)}k {disk}/ballast; "
        f'"$@"; status=$?; rm {disk}/ballast; cp -r {disk} {saved}; exit $status'
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as err:
        raise CannotTry("no unshare, or it may not mount a disk") from err
    done = train(setting.gin, workdir, inside=[*unshare, "sh", "-c", mount, "sh"])
    done.expect_refusal("No space left on device", "resumes")
    last = saved_steps(setting.stopped)[-1]
    _end_well(setting, kept, f"resuming after step {last}")


def _truncate(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def _flip_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = draw.randrange(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def _delete(path: Path, draw: random.Random) -> None:
    del draw
    path.unlink()


DAMAGES = {"truncated": _truncate, "bit-flipped": _flip_bit, "deleted": _delete}
"""What happens to a file -> the function that does it."""


@dataclasses.dataclass(frozen=True)
class DamageCheckpoint:
    """Damages a random file of the last checkpoint of a stopped run."""

    damage: Callable[[Path, random.Random], None]

    def __call__(self, setting: Setting, folder: Path, draw: random.Random) -> None:
        """Tries it; see `Fault`."""
        workdir = setting.copy_stopped(folder / "run")
        *_, before, step = saved_steps(workdir)
        last = workdir / "checkpoints" / str(step)
        files = sorted(path for path in last.rglob("*") if path.is_file())
        path = draw.choice(files)
        self.damage(path, draw)
        done = _end_well(setting, workdir, f"resuming after step {before}")
        name = path.relative_to(last).as_posix()
        (note,) = (x for x in done.errors.splitlines() if x.startswith("jaxprompt: "))
        for words in (f"checkpoint {step}", name, f"goes on from step {before}"):
            expect(words in note, f"{words!r} is not in: {note}")


def damage_every_checkpoint(
    setting: Setting, folder: Path, draw: random.Random
) -> None:
    """Damages all that a run could go on from: it says so, and starts nothing."""
    workdir = setting.copy_stopped(folder / "run")
    for checkpoint in (workdir / "checkpoints").iterdir():
        files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
        _truncate(draw.choice(files), draw)
    before = sorted(workdir.rglob("*"))
    done = train(setting.gin, workdir)
    steps = [f"{step}: " for step in saved_steps(workdir)]
    done.expect_refusal("every checkpoint in", "from a backup", *steps)
    expect(set(before) <= set(workdir.rglob("*")), "it removed something")


def change_data(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Changes an answer in the data between a stop and the next start."""
    data, gin = folder / "data", folder / "run.gin"
    shutil.copytree(setting.data, data)
    write_gin(gin, setting.model, data)
    workdir = folder / "run"
    expect(stop_after(gin, workdir, 3, signal.SIGTERM) == 143, "it did not stop")
    path = data / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    row = draw.choice(rows)
    row["answer"] = "no" if row["answer"] == "yes" else "yes"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    train(gin, workdir).expect_refusal(str(path), "'train'", "changed since")


def break_loss(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Lets one row make the loss NaN: a word whose embedding is no number."""
    data, gin, model = folder / "data", folder / "run.gin", folder / "model"
    shutil.copytree(setting.data, data)
    write_model(model, _poison)
    write_gin(gin, model, data)
    path, bad = data / "train.jsonl", draw.randrange(64)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[bad]["text"] += " unheardof"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    workdir = folder / "run"
    line = train(gin, workdir).refusal()
    expect("loss nan" in line, f"no NaN in: {line}")
    numbers = line.split("train.jsonl:")[1].split(")")[0].split(",")
    expect(str(bad + 1) in numbers, f"row {bad + 1} is not in: {line}")
    expect(len(numbers) == 8, f"not the 8 rows of a batch: {line}")
    steps = saved_steps(workdir)
    kept = f"after step {steps[-1]} is kept" if steps else "nothing was saved"
    expect(kept in line, f"{kept!r} is not in: {line}")


def _poison(params: Params) -> Params:
    table = params["embedding"].at[UNKNOWN].set(float("nan"))
    return {**params, "embedding": table}


def run_twice(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Starts a second run in the workdir of one that goes on."""
    workdir = folder / "run"
    with start(setting.gin, workdir) as first:
        wait_for(workdir, draw.randrange(1, 4), first)
        first.send_signal(signal.SIGSTOP)  # So that it is not over too soon.
        train(setting.gin, workdir).expect_refusal("another process trains")
        first.send_signal(signal.SIGCONT)
        done = finish(first)
    expect(done.status == 0, f"the first was disturbed: {done.errors}")
    setting.expect_same_end(workdir)


def name_no_folder(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Names workdirs that are, or lie below, a file, and where none can be made."""
    del draw
    (folder / "file").write_text("mine")
    gin = f"--gin_file={setting.gin}"
    places = {
        folder / "file": "is a file",
        folder / "file" / "below" / "run": "which is a file",
        Path("/proc/jaxprompt/run"): "use another workdir",
    }
    for place, words in places.items():
        call("train", gin, f"--workdir={place}").expect_refusal(str(place), words)
    expect((folder / "file").read_text() == "mine", "the file was changed")


def forbid_writing(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Makes the workdir read-only: nothing is trained, and nothing is lost."""
    del draw
    if os.geteuid() == 0:
        raise CannotTry("root may write everywhere")
    workdir = setting.copy_stopped(folder / "run")
    workdir.chmod(0o555)
    try:
        done = call("train", f"--gin_file={setting.gin}", f"--workdir={workdir}")
    finally:
        workdir.chmod(0o755)
    done.expect_refusal(str(workdir), "is not writable")


def _end_well(setting: Setting, workdir: Path, *said: str) -> Done:
    """Resumes a run, and expects the bytes of the undisturbed one."""
    done = train(setting.gin, workdir)
    expect(done.status == 0, f"it does not resume: {done.errors[-2000:]}")
    for words in said:
        expect(words in done.output, f"{words!r} is not in: {done.output}")
    setting.expect_same_end(workdir)
    return done
