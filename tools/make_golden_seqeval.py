"""Writes tests/golden/seqeval.json: what seqeval says of drawn tags.

seqeval's own setup no longer builds in a fresh environment, so tests read its answers
from this file. To make it again, with the same bytes:

    python -m pip install "setuptools<81" "setuptools_scm<9" wheel
    python -m pip install --no-build-isolation seqeval==1.2.2
    python tools/make_golden_seqeval.py
"""

import argparse
import json
import random
from importlib.metadata import version
from pathlib import Path

from seqeval import metrics

FILE = Path(__file__).resolve().parents[1] / "tests" / "golden" / "seqeval.json"
TAGS = ["O", "O", "B-A", "I-A", "B-B", "I-B"]
NAMES = ("precision", "recall", "f1")


def main() -> None:
    """Draws tags of a few sentences, twice, and scores the second against the first."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    draw = random.Random(0)
    cases = []
    for _ in range(100):
        sizes = [draw.randint(1, 6) for _ in range(4)]
        targets, predictions = (
            [draw.choices(TAGS, k=size) for size in sizes] for _ in range(2)
        )
        scores = {
            name: 100
            * getattr(metrics, f"{name}_score")(targets, predictions, zero_division=0)
            for name in NAMES
        }
        cases.append(
            {
                "targets": [" ".join(tags) for tags in targets],
                "predictions": [" ".join(tags) for tags in predictions],
                **{name: round(float(score), 9) for name, score in scores.items()},
            }
        )
    lines = ",\n".join(json.dumps(case) for case in cases)
    FILE.write_text(
        f'{{"seqeval": "{version("seqeval")}", "cases": [\n{lines}\n]}}\n', "utf-8"
    )


if __name__ == "__main__":
    main()
