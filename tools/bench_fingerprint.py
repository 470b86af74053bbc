"""Times the fingerprint of a checkpoint beside plain reading of its file.

    python tools/bench_fingerprint.py --folder=runs/wide

The checkpoint is a random T5 with the widths of T5 1.1 xl and a few of its layers, of
2.3 GB in float32; it is made in --folder if that is not there. Beside the fingerprint,
which takes a thread a core, stand a plain read and the SHA-256 of the file's bytes, on
one thread. "Cold" is after the kernel was asked to forget the file's pages, "warm"
follows at once. What is remembered of earlier runs is not looked at. Processor seconds
are of all threads together.
"""

import argparse
import dataclasses
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from small_t5 import SMALL, save_random

from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.report.text.table import table

WIDE = dataclasses.replace(
    SMALL, width=2048, heads=32, ffn_width=5120, encoder_layers=4, decoder_layers=4
)
_PIECE = 2**22


def forget(path: Path) -> None:
    """Asks the kernel to forget the pages of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path: Path) -> None:
    """Reads a file."""
    with path.open("rb", buffering=0) as file:
        while file.read(_PIECE):
            pass


def hash_bytes(path: Path) -> None:
    """Takes the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def take_fingerprint(path: Path) -> None:
    """Opens the model of a file, which takes its fingerprint: no cache remembers it."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        open_backbone(find_checkpoint(path.parent))


def main() -> None:
    """Times each a few times, in turn, and prints a table."""
    parser = argparse.ArgumentParser(description="Time the fingerprint.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    if not flags.folder.is_dir():
        save_random(flags.folder, WIDE)
    path = flags.folder / "model.safetensors"
    take_fingerprint(path)  # JAX starts once.
    megabytes = path.stat().st_size / 1e6

    cases: dict[str, Callable[[Path], None]] = {
        "plain read": read,
        "SHA-256 of the file": hash_bytes,
        "fingerprint": take_fingerprint,
    }
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(flags.rounds):
        for name, act in cases.items():
            forget(path)
            for state in ("cold", "warm"):
                wall, processor = time.perf_counter(), time.process_time()
                act(path)
                seconds = time.perf_counter() - wall, time.process_time() - processor
                taken.setdefault(f"{name}, {state}", []).append(seconds)
    rows = []
    for name, found in taken.items():
        walls, processors = zip(*found, strict=True)
        speeds = [megabytes / of(walls) for of in (statistics.median, max, min)]
        rows.append([name, *speeds, megabytes / statistics.median(processors)])
    print(f"{megabytes:.0f} MB, {os.cpu_count()} cores")
    columns = ["MB/s", "median", "least", "most", "MB per processor second"]
    print(table(columns, rows))


if __name__ == "__main__":
    main()
