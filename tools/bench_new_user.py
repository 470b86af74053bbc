"""Times a new user's path: an empty environment, pip, five lines of Python, an answer.

    python tools/bench_new_user.py
    python tools/bench_new_user.py --python=python3.13

The wheel of this checkout, pandas and what they require are installed in the versions
of constraints.txt, by pip as it is configured here. Then five lines train a prompt for
the bundled T5 on a DataFrame of the bundled sentences, print its score beside the
baselines, and answer a new sentence. No program is compiled before; what pip keeps of
downloads is used.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jaxprompt.report.text.table import table

ROOT = Path(__file__).resolve().parents[1]

ROWS = ROOT / "jaxprompt/bundled/mini/SST-2/train.tsv"

LINES = (
    "import pandas, jaxprompt as jp",
    'rows = pandas.read_csv("train.tsv", sep="\\t")',
    'model = jp.load("bundled:nano")',
    'result = jp.tune(model, rows, inputs="{sentence}", target="label", '
    'labels={0: "bad", 1: "good"}, steps=200)',
    'print(result, model.generate(["We laughed all evening."], prompt=result.prompt))',
)
"""What a new user types into Python."""

TIMED = f"""
import sys, time
for line in {LINES!r}:
    start, used = time.perf_counter(), time.process_time()
    exec(line)
    took = time.perf_counter() - start, time.process_time() - used
    print("timed", *took, line, file=sys.stderr)
"""

Steps = list[tuple[str, float, float]]
"""What was done, its seconds, and those of processor time."""


def run(command: list[str], folder: Path) -> tuple[tuple[float, float], str, str]:
    """Runs a command as in a new shell: its seconds, its output, its errors' output."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "JAX", "XLA"))
    }
    start, before = time.perf_counter(), processor()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "XDG_CACHE_HOME": f"{folder}/cache"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    seconds = time.perf_counter() - start, processor() - before
    return seconds, done.stdout, done.stderr


def processor() -> float:
    """Returns the processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install(python: str, folder: Path) -> tuple[str, Steps]:
    """Makes an environment with the wheel: its Python, and what was done."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    run([*build, str(folder)], ROOT)
    (wheel,) = folder.glob("*.whl")
    steps = [("python -m venv", *run([python, "-m", "venv", "env"], folder)[0])]
    found = str(folder / "env" / "bin" / "python")
    pip = [found, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    # pip's own cache is in the home's .cache, which `run` moves.
    cache = f"--cache-dir={Path.home()}/.cache/pip"
    pip += [cache, "--constraint", str(ROOT / "constraints.txt"), str(wheel), "pandas"]
    steps.append(("pip install jaxprompt pandas", *run(pip, folder)[0]))
    return found, steps


def main() -> None:
    """Goes the path once, and prints what each step took."""
    parser = argparse.ArgumentParser(description="Time a new user's path.")
    parser.add_argument("--python", default=sys.executable, help="of the environment")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python, steps = install(flags.python, folder)
        (folder / ROWS.name).write_bytes(ROWS.read_bytes())
        seconds, said, errors = run([python, "-c", TIMED], folder)
        for line in errors.splitlines():
            if line.startswith("timed "):
                _, took, used, typed = line.split(" ", 3)
                name = f"`{typed.partition('(')[0]}`"
                steps.append((name, float(took), float(used)))
        steps.append(("Python from its start to its end", *seconds))
        parts = [*steps[:2], steps[-1]]
        steps.append(("all of it", sum(x[1] for x in parts), sum(x[2] for x in parts)))
        packages = folder / "env" / "lib"
        files = [path for path in packages.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        count = len([*packages.rglob("*.dist-info")])
    print("\n".join(LINES), f"\n\n{said}")
    header = ["step", "seconds", "of processor time"]
    print(table(header, [[name, *(f"{x:.1f}" for x in told)] for name, *told in steps]))
    print(f"\n{count} packages, {size:,.0f} MB, with pip")


if __name__ == "__main__":
    main()
