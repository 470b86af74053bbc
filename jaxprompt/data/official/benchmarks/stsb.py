"""STS-B: how alike are two sentences, from 0 to 5? GLUE; the score is the target."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.official.libraries import t5_preprocessors as preprocessors
from jaxprompt.data.official.libraries import tfds_glue as glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import BuiltSpec
from jaxprompt.data.read import files
from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import UNLABELLED
from jaxprompt.screen.quoting import quoted

TEXTS = ("sentence1", "sentence2")

HIGHEST = 5.0
"""Score of two sentences that mean the same; 0 is the lowest."""


def _read_file(path: Path, split: str) -> list[Features]:
    return [
        {
            **{name: files.field_text(row, name) for name in TEXTS},
            "label": _score(row, split),
            "idx": number,
        }
        for number, row in enumerate(files.read_rows(path))
    ]


def _score(row: files.Row, split: str) -> float:
    if split == "test" and "score" not in row.fields:
        return float(UNLABELLED)
    text = files.field_text(row, "score")
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= HIGHEST:
        raise ValueError(
            f"{row.where}: score {quoted(text)} is no number from 0 to {HIGHEST:g}"
        )
    return float(np.float32(score))  # As TFDS has it.


def _read_request(row: files.Row, number: int) -> Features:
    texts = {name: files.field_text(row, name) for name in TEXTS}
    return {**texts, "label": float(UNLABELLED), "idx": number}


def _zero_if_constant(correlation: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a correlation 0 where it is undefined, as for the majority baseline."""

    def metric(targets: Sequence[float], predictions: Sequence[float]) -> Any:
        if min(np.ptp(targets), np.ptp(predictions)) == 0:
            return {correlation.__name__: 0.0}
        return correlation(targets, predictions)

    return metric


def _postprocess(text: str, default: float = -1.0, **example: Any) -> float:
    """Reads a number; text that is none, or "nan" or "inf", is `default`."""
    found = postprocessors.string_to_float(text, default=default, **example)
    return found if math.isfinite(found) else default


_CONFIG: Any = glue.Glue.builder_configs["stsb"]

STSB = BuiltSpec(
    name="stsb",
    origin=Origin(
        tfds_name=f"glue/stsb:{_CONFIG.version}",
        folder="STS-B",
        files={"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"},
        features=(*TEXTS, "label"),
    ),
    read_file=_read_file,
    read_request=_read_request,
    to_text=preprocessors.stsb,
    prefix="stsb ",
    postprocess_fn=_postprocess,
    metric_fns=(
        _zero_if_constant(metrics.pearson_corrcoef),
        _zero_if_constant(metrics.spearman_corrcoef),
    ),
)
