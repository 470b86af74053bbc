"""Trains the same prompt on several backbones, three seeds each, and prints a table.

    python tools/compare_backbones.py OUT LM=runs/lm_adapt/model SPAN=runs/nano/model

The seeds of a backbone are one bank, trained by an ordinary run in OUT/NAME, so what is
finished is not run again. The
recipe is the quickstart's; another one is given with --gin_file.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.command.configure import configure
from jaxprompt.report.text.table import table
from jaxprompt.runs import train

RUN = "gin/runs/prompt_tuning.gin"
RECIPE = "gin/recipes/quickstart/mini_sentiment.gin"


def compare(
    out: Path,
    backbones: Mapping[str, str],
    *,
    files: Sequence[str] = (RECIPE,),
    settings: Sequence[str] = (),
    seeds: int = 3,
) -> dict[str, list[dict[str, Any]]]:
    """Trains a bank of prompts, one for each seed, on each backbone.

    Args:
        out: Folder of the runs.
        backbones: Name in the table -> folder, Hub name or "bundled:nano".
        files: gin files of the recipe.
        settings: "NAME=value" each.
        seeds: Seeds 0, 1, ...

    Returns:
        Name -> the result of each seed, as in result.json.
    """
    results = {}
    for name, folder in backbones.items():
        own = [*settings, f"MODEL={folder!r}", f"SEEDS={seeds}"]
        run, config = configure([RUN, *files], own)
        result = train(run, out / name, config=config)
        results[name] = result.get("members", [result])
    return results


def results_table(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Lays out `compare`'s results: mean and standard deviation over the seeds."""
    header = ["backbone", "majority", "untuned", "hand-written", "prompt", "seeds"]
    rows = []
    for name, runs in results.items():
        scores = [run["score"] for run in runs]
        spread = np.std(scores, ddof=1) if len(scores) > 1 else 0.0
        first = runs[0]
        by_hand = first.get("hand_written")
        rows.append(
            [
                name,
                first["majority"],
                first["untuned"],
                "" if by_hand is None else f"{by_hand:.1f}",
                f"{np.mean(scores):.1f} +- {spread:.1f}",
                ", ".join(f"{score:.1f}" for score in scores),
            ]
        )
    return table(header, rows)


def _named(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=FOLDER")
    return name, folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Train the same prompt on several backbones."
    )
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("backbones", type=_named, nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--gin_file", action="append", help=f"recipe, not {RECIPE}")
    parser.add_argument("--gin", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    flags = parser.parse_args()
    found = compare(
        flags.out,
        dict(flags.backbones),
        files=flags.gin_file or (RECIPE,),
        settings=flags.gin,
        seeds=flags.seeds,
    )
    print(f"\n{results_table(found)}")
