"""Most benchmarks of docs/performance.md, one after the other, as one page.

    make bench DATA=superglue VOCABULARY=t5

DATA is a folder of SuperGLUE's official files, VOCABULARY one with T5's own. Each
benchmark is one of the other tools/bench_*.py, by its own command, and compares the
default configuration with Hugging Face PEFT, or with PyTorch where the whole model
trains, on the same machine in the same minutes.
What each prints goes into build/bench/NAME.txt, and the next call leaves out what is
there: delete a file to time it again. The page, build/bench/performance.md, begins with
a table of all ratios, beside the aims. An hour and a half on two free cores; needs the
extra `parity`.
"""

import argparse
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.text.table import table

TOOLS = Path(__file__).resolve().parent
RATIO = re.compile(
    r"^(?P<what>[^|\n]+ / [^|\n:]+): (?P<ratio>[\d.]+)"
    r"(?: \(half of the rounds between (?P<low>[\d.]+) and (?P<high>[\d.]+)\))?",
    re.MULTILINE,
)
"""A line of `side_by_side.comparison`, or of bench_memory."""


class Benchmark(NamedTuple):
    """One command, and what it should reach.

    Attributes:
        name: Of its file.
        command: Its tool and flags; {data} and {vocabulary} stand for the folders.
        aim: In words.
    """

    name: str
    command: str
    aim: str


BENCHMARKS = (
    Benchmark("t5", "bench_step.py --steps=8", "1.05 times PEFT's speed"),
    Benchmark("t5_memory", "bench_memory.py", "0.9 of PEFT's memory"),
    *(
        Benchmark(
            task,
            f"bench_step.py --data={{data}} --vocabulary={{vocabulary}} --task={task} "
            "--steps=4",
            f"{aim} times PEFT's speed",
        )
        for task, aim in (("rte", 1.5), ("boolq", 1.5), ("wic", 1.1))
    ),
    Benchmark("gpt2", "bench_step.py --model=gpt2 --steps=6", "3.0 times PEFT's speed"),
    *(
        Benchmark(
            f"smollm2_{length}",
            f"bench_step.py --model=smollm2 --prompt_length={length} --steps=6",
            f"{aim} times PEFT's speed",
        )
        for length, aim in ((20, 1.6), (100, 3))
    ),
    Benchmark(
        "smollm2_memory",
        "bench_memory.py --model=smollm2 --prompt_length=20",
        "0.7 of PEFT's memory",
    ),
    Benchmark(
        "scoring",
        "bench_eval.py --data={data} --vocabulary={vocabulary} --rounds=3",
        "1.6 times PEFT's speed at 128 rows",
    ),
    Benchmark(
        "scoring_few",
        "bench_eval.py --data={data} --vocabulary={vocabulary} --rounds=3 "
        "--examples=48",
        "1.2 times PEFT's speed at 48 rows",
    ),
    Benchmark(
        "ranking",
        "bench_eval.py --data={data} --vocabulary={vocabulary} --rounds=3 "
        "--method=rank",
        "1.4 times PEFT's speed",
    ),
    Benchmark("pretrain", "bench_pretrain.py", "1.2 times PyTorch's speed"),
    Benchmark(
        "start",
        "bench_start.py --data={data}/RTE --vocabulary={vocabulary}/spiece.model "
        "--rounds=3",
        "a second start in 8 s on own data, 12 s on official files",
    ),
)


def results(benchmark: Benchmark, text: str) -> list[tuple[str, str, str, str]]:
    """Reads what a benchmark printed, as rows: what, measured, spread, aim.

    Of a benchmark without ratios, all that its table has.
    """
    rows = []
    for found in RATIO.finditer(text):
        above = [part for part in text[: found.start()].split("\n\n") if "|" in part]
        unit = f"{above[-1].split('|')[1].strip()}, " if above else ""
        spread = f"{found['low']} to {found['high']}" if found["low"] else ""
        name = f"{benchmark.name}: {unit}{found['what']}"
        rows.append((name, found["ratio"], spread, benchmark.aim))
    if rows:
        return rows
    for line in re.findall(r"^\|(.*)\|$", text, re.MULTILINE)[2:]:
        name, median, least, most = (cell.strip() for cell in line.split("|"))
        name = f"{benchmark.name}: {name}, seconds"
        rows.append((name, median, f"{least} to {most} (all)", benchmark.aim))
    return rows


def machine() -> str:
    """Says which machine and commit the numbers are of."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=TOOLS,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cpus = Path("/proc/cpuinfo")
    text = cpus.read_text() if cpus.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    cores = text.count("processor\t:")
    return (
        f"{name[1] if name else platform.processor()}, {cores} cores, "
        f"Python {platform.python_version()}, commit {commit}"
    )


def main() -> None:
    """Runs what was not run yet, and writes the page."""
    parser = argparse.ArgumentParser(description="All benchmarks, as one page.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    parser.add_argument("--only", nargs="*", choices=[x.name for x in BENCHMARKS])
    flags = parser.parse_args()
    for folder in (flags.data, flags.vocabulary):
        if not folder.is_dir():
            parser.error(f"no folder {folder}")
    flags.output.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    sections: list[str] = []
    for benchmark in BENCHMARKS:
        file = flags.output / f"{benchmark.name}.txt"
        command = benchmark.command.format(data=flags.data, vocabulary=flags.vocabulary)
        if not file.exists():
            if flags.only is not None and benchmark.name not in flags.only:
                continue
            print(f"python tools/{command}", flush=True)
            tool, *arguments = command.split()
            done = subprocess.run(
                [sys.executable, str(TOOLS / tool), *arguments],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"it failed: python tools/{command}")
            write_atomically(file, f"{machine()}\n\n{done.stdout}".encode())
        text = file.read_text()
        rows += results(benchmark, text)
        sections.append(
            f"## {benchmark.name}\n\n```sh\npython tools/{command}\n```\n\n{text}"
        )
    head = table(["case", "measured", "half of the rounds", "aim"], rows)
    page = flags.output / "performance.md"
    write_atomically(page, "\n".join(["# Performance\n", head, "", *sections]).encode())
    print(f"\n{head}\n\nwritten: {page}")


if __name__ == "__main__":
    main()
