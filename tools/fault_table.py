"""Tries every fault many times, and prints the table of docs/reliability.md.

    python tools/fault_table.py --times 20

A fault that cost something is told with its reason, and its seed tries it again.
"""

import argparse
import dataclasses
import functools
import os
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faults_damage as damage
import faults_hostile as hostile
from faults_damage import CannotTry, Fault
from faults_setting import Setting, make_setting
from tqdm import tqdm

PROCESS_FAULTS: dict[str, Fault] = {
    "SIGKILL and SIGTERM, in turn, at a random step": damage.kill_often,
    "no file may grow while a checkpoint is saved": damage.fill_file_limit,
    "a full disk while a checkpoint is saved": damage.fill_disk,
    **{
        f"a file of the last checkpoint {name}": damage.DamageCheckpoint(function)
        for name, function in damage.DAMAGES.items()
    },
    "every checkpoint damaged": damage.damage_every_checkpoint,
    "the data changed before it resumes": damage.change_data,
    "a row that makes the loss NaN": damage.break_loss,
    "a second run in the same workdir": damage.run_twice,
}
"""What happens to a run -> the function that tries it with processes of its own."""

FILE_FAULTS: dict[str, Fault] = {
    "a workdir that is, or lies below, a file": damage.name_no_folder,
    "a read-only workdir": damage.forbid_writing,
    "a gin file that loads or runs code": hostile.load_code_by_gin,
    "a setting that loads or runs code": hostile.load_code_by_setting,
    "an include of something else": hostile.include_elsewhere,
    "a pickle for a prompt": hostile.pickle_for_prompt,
    "a pickle for a model": hostile.pickle_for_model,
    "a cut, flipped or absurd prompt file": hostile.damage_prompt,
    "a cut, flipped or absurd model file": hostile.damage_model,
    "a cut, nested or recoded JSON file": hostile.damage_json,
    "a path for the name of a repository": hostile.name_repositories,
    "an output folder of other things, or a link": hostile.replace_through_a_link,
}
"""What is given to a command, which refuses it before it trains -> the function."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """What became of a fault.

    Attributes:
        times: How often it happened.
        lost: Why, for each time that it cost something.
        skipped: Why it could not be tried here.
    """

    times: int = 0
    lost: tuple[str, ...] = ()
    skipped: str = ""


def try_once(fault: Fault, setting: Setting, folder: Path, seed: int) -> Tried:
    """Tries a fault in a folder, which must not exist."""
    folder.mkdir(parents=True)
    try:
        fault(setting, folder, random.Random(seed))
    except CannotTry as reason:
        return Tried(skipped=str(reason))
    except Exception as error:  # Whatever it is, the fault was not survived.
        return Tried(1, (f"seed {seed}: {type(error).__name__}: {error}",))
    return Tried(1)


def try_often(
    fault: Fault, setting: Setting, folder: Path, times: int, seed: int
) -> Tried:
    """Tries a fault so many times; SIGKILL and SIGTERM all hit one run."""
    if fault is damage.kill_often:
        often = functools.partial(damage.kill_often, times=times)
        found = try_once(often, setting, folder / "0", seed)
        return dataclasses.replace(found, times=times)
    all_found = [
        try_once(fault, setting, folder / str(n), seed + n) for n in range(times)
    ]
    return Tried(
        sum(found.times for found in all_found),
        tuple(reason for found in all_found for reason in found.lost),
        all_found[0].skipped,
    )


def table(tried: dict[str, Tried]) -> Iterator[str]:
    """Yields the lines of the table, and below it what was lost or not tried."""
    yield "| fault | times tried | survived | lost |"
    yield "| --- | ---: | ---: | ---: |"
    for name, found in tried.items():
        if not found.skipped:
            lost = len(found.lost)
            yield f"| {name} | {found.times} | {found.times - lost} | {lost} |"
    for name, found in tried.items():
        if found.skipped:
            yield f"\nNot tried here: {name}, for {found.skipped}."
        yield from (f"\nLost: {name}, {reason}" for reason in found.lost)


def main() -> int:
    """Tries all; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="of faults of a run")
    parser.add_argument("--file_times", type=int, default=5, help="of faults of a file")
    parser.add_argument("--only", default="", help="part of a fault's name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="runs at the same time")
    flags = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    tried: dict[str, Tried] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(flags.workers) as pool,
    ):
        folder = Path(name)
        setting = make_setting(folder / "setting")

        def submit(label: str, fault: Fault, times: int) -> Tried:
            # A page quotes a path with spaces: it would not be that of `setting`.
            where = folder / label.replace(" ", "_").replace(",", "")
            arguments = (fault, setting, where, times, flags.seed)
            return try_often(*arguments)

        # In turn, for they share this process's own output.
        for label, fault in tqdm(FILE_FAULTS.items(), desc="files", disable=False):
            if flags.only in label:
                tried[label] = submit(label, fault, flags.file_times)
        waiting = {
            label: pool.submit(submit, label, fault, flags.times)
            for label, fault in PROCESS_FAULTS.items()
            if flags.only in label
        }
        for label in tqdm(waiting, desc="runs", disable=False):
            tried[label] = waiting[label].result()
    in_order = [*PROCESS_FAULTS, *FILE_FAULTS]
    print("\n".join(table({x: tried[x] for x in in_order if x in tried})))
    return int(any(found.lost for found in tried.values()))


if __name__ == "__main__":
    raise SystemExit(main())
