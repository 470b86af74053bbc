"""Tries this project on an accelerator: how fast, how exact, and PEFT beside it.

    PYTHONPATH=. python tools/gpu/check.py
    PYTHONPATH=. python tools/gpu/check.py --tiny      # every part, small, on a CPU

Needs JAX for the device, and neither seqio, t5 nor TensorFlow. The models have random
weights, so nothing is downloaded. Each part runs in a process of its own and gets a
share of --seconds; what it has found is kept if it is stopped. A first table is printed
after --first seconds, the whole one at the end; OUTPUT/check.json is rewritten with
each finding. See docs/gpu.md.
"""

import argparse
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bounded import Part, run_parts
from exactness import check_attention, check_logits, check_resuming
from findings import Finding, Report, line_of
from our_timing import find_machine, time_model
from peft_timing import time_peft
from registry import MODELS, TINY_MODELS, Settings

from jaxprompt.files.atomic import write_atomically
from jaxprompt.startup import leave_out_absent_tpu

_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def on_device(
    find: Callable[..., Iterator[Finding]], *arguments: object
) -> Iterator[Finding]:
    """Finds something out in a process that has not started a device yet."""
    leave_out_absent_tpu()
    yield from find(*arguments)


def parts_of(models: list[str], settings: Settings) -> list[Part]:
    """Lists all parts, what matters most first."""
    # Compiled for each: an encoder with a decoder and a decoder alone are enough.
    ends = list(dict.fromkeys((models[0], models[-1])))
    resumed = models[:1] if settings.tiny else ends

    def part(name: str, weight: float, find: Any, *arguments: object) -> Part:
        return Part(name, weight, functools.partial(on_device, find, *arguments))

    parts = [
        part("machine", 1.0, find_machine, settings),
        part("logits", 1.5, check_logits, models),
        part("attention", 1.5, check_attention),
    ]
    for model in models:
        parts += [
            part(model, 2.5, time_model, model, settings),
            part(f"PEFT beside {model}", 2.0, time_peft, model, settings),
        ]
        if model == models[0]:
            parts.append(part("resuming", 1.5, check_resuming, resumed))
    if not settings.tiny:  # The flag is of GPUs alone.
        parts.append(
            part("resuming again", 1.5, check_resuming, resumed, _DETERMINISTIC)
        )
    return parts


def main() -> None:
    """Runs all parts and prints the tables."""
    parser = argparse.ArgumentParser(description="Try this project on an accelerator.")
    parser.add_argument("--tiny", action="store_true", help="small, for a CPU")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="default: all")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--input_length", type=int, default=512)
    parser.add_argument("--target_length", type=int, default=32)
    parser.add_argument("--prompts", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="dots")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--first", type=float, default=120.0, help="the first table")
    parser.add_argument("--output", type=Path, default=Path("build/gpu"))
    flags = parser.parse_args()

    start = time.monotonic()
    # JAX leaves a quarter of a GPU's memory to others, and nobody else is here.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.92")
    settings = Settings(
        tiny=flags.tiny,
        batch_size=flags.batch_size,
        input_length=flags.input_length,
        target_length=flags.target_length,
        prompts=tuple(flags.prompts),
        remat=flags.remat,
    )
    if flags.tiny:
        settings = Settings(True, 2, 12, 4, (3,), flags.remat, rounds=2)
    models = flags.models or list(TINY_MODELS if flags.tiny else MODELS)
    logs = flags.output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    report, shown = Report(), False
    for found in run_parts(parts_of(models, settings), flags.seconds, logs):
        if found is not None:
            report.add(found)
            print(line_of(found), flush=True)
            about = {"settings": settings._asdict(), "models": models}
            text = json.dumps({**about, **report.as_json()}, indent=2) + "\n"
            # On one host, and without asking JAX which: that would take the device.
            write_atomically(
                flags.output / "check.json", text.encode(), every_host=True
            )
        if not shown and time.monotonic() - start >= flags.first:
            shown = True
            print(f"\nSo far:\n\n{report.text()}\n", flush=True)
    print(f"\n{report.text()}\n\nwrote {flags.output / 'check.json'}")


if __name__ == "__main__":
    main()
