"""WSC as T5 does it: write what a marked pronoun refers to. SuperGLUE."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.official.libraries import t5_preprocessors as preprocessors
from jaxprompt.data.official.libraries import tf
from jaxprompt.data.official.libraries import tfds_super_glue as super_glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import JSONL, BuiltSpec
from jaxprompt.data.official.texts import to_columns
from jaxprompt.data.read import files
from jaxprompt.data.read.fields import field_label, field_number, field_row
from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import UNLABELLED
from jaxprompt.screen.quoting import quoted

SPLIT_BY_AUTHORS = ("Kamenev and Zinoviev", "Kamenev, Zinoviev, and Stalin")
"""Referents whose names do not stand together in the text."""


def _read_file(path: Path, split: str) -> list[Features]:
    rows = files.read_rows(path)
    examples = [_features(row, split) for row in rows]
    _check_pronouns(rows, examples)
    return examples


def _features(row: files.Row, split: str) -> Features:
    target = field_row(row, "target")
    text = files.field_text(row, "text")
    labelled = split != "test" or "label" in row.fields
    return {
        "text": text,
        "span1_text": _as_in_text(target, "span1", text),
        "span2_text": _as_in_text(target, "span2", text),
        "span2_index": field_number(target, "span2_index"),
        "label": (
            field_label(row, "label", {"false": 0, "true": 1})
            if labelled
            else UNLABELLED
        ),
        "idx": field_number(row, "idx"),
    }


def _as_in_text(target: files.Row, name: str, text: str) -> str:
    """Returns a span as the text writes it; the files differ in case and full stops.

    Source: the corrections of TFDS's "super_glue/wsc.fixed", which t5 uses.
    """
    span = files.field_text(target, f"{name}_text")
    if span in text or span in SPLIT_BY_AUTHORS:
        return span
    words, place = text.split(), field_number(target, f"{name}_index")
    if not span or place >= len(words):
        raise ValueError(
            f"{target.where}: {name}_text {quoted(span)} is not at word {place} of "
            f"{quoted(text)}"
        )
    first = span[0].lower() if words[place][0].islower() else span[0].upper()
    fixed = f"{first}{span[1:]}".rstrip(".").replace("\n", " ")
    if fixed not in text:
        raise ValueError(
            f"{target.where}: {name}_text {quoted(span)} is not in {quoted(text)}"
        )
    return fixed


def _read_request(row: files.Row, number: int) -> Features:
    target = field_row(row, "target") if "target" in row.fields else row
    features = {
        "text": files.field_text(row, "text"),
        # The referent is what is asked for.
        "span1_text": "",
        "span2_text": files.field_text(target, "span2_text"),
        "span2_index": field_number(target, "span2_index"),
        "label": UNLABELLED,
        "idx": number,
    }
    _check_pronouns([row], [features])
    return features


def _check_pronouns(rows: Sequence[files.Row], examples: Sequence[Features]) -> None:
    """Raises ValueError for the first row that t5's format cannot mark."""
    columns: Any = to_columns(examples)
    texts = _to_text(tf.data.Dataset.from_tensor_slices(columns))
    done = 0
    try:
        for _ in texts:
            done += 1
    except tf.errors.InvalidArgumentError as err:
        row, features = rows[done], examples[done]
        raise ValueError(
            f"{row.where}: span2_text {quoted(features['span2_text'])} is not word "
            f"{features['span2_index']} of {quoted(features['text'])}, counted from 0 "
            "between spaces; it may not be word 0 either"
        ) from err


def _choose(rows: Sequence[Features], split: str) -> list[Features]:
    """Keeps the training rows whose referent is the right one: it is the target."""
    if split != "train":
        return list(rows)
    true = [row for row in rows if row["label"] == 1]
    if not true:
        raise ValueError(
            f"task wsc: none of {len(rows)} training rows has label true, and only "
            "these name the right referent"
        )
    return true


def _to_text(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return preprocessors.wsc_simple(dataset)


_CONFIG: Any = super_glue.SuperGlue.builder_configs["wsc.fixed"]

WSC = BuiltSpec(
    name="wsc",
    origin=Origin(
        tfds_name=f"super_glue/wsc.fixed:{_CONFIG.version}",
        folder="WSC",
        files=JSONL,
        features=("text", "span1_text", "span2_text", "span2_index", "label"),
    ),
    read_file=_read_file,
    read_request=_read_request,
    to_text=_to_text,
    prefix="wsc: ",
    postprocess_fn=postprocessors.wsc_simple,
    metric_fns=(metrics.accuracy,),
    choose=_choose,
    # Outside of training the referent of some rows is a wrong one.
    targets_are_right=False,
)
