"""MultiRC: is this answer to a question about a paragraph right? SuperGLUE."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxprompt.data.official.libraries import t5_glue as glue_utils
from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.official.libraries import tfds_super_glue as super_glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import JSONL, BuiltSpec
from jaxprompt.data.read import files
from jaxprompt.data.read.fields import (
    check_ids,
    field_label,
    field_number,
    field_row,
    field_rows,
)
from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import UNLABELLED

TEXTS = ("paragraph", "question", "answer")


def _read_file(path: Path, split: str) -> list[Features]:
    rows = files.read_rows(path)
    check_ids((x for row in rows for x in _question_ids(row)), "paragraph and question")
    return [example for row in rows for example in _of_paragraph(row, split)]


def _question_ids(row: files.Row) -> Iterator[tuple[str, tuple[int, int]]]:
    for question in field_rows(field_row(row, "passage"), "questions"):
        yield question.where, (field_number(row, "idx"), field_number(question, "idx"))


def _of_paragraph(row: files.Row, split: str) -> Iterator[Features]:
    """Yields an example for each answer to each question about a paragraph."""
    passage = field_row(row, "passage")
    for question in field_rows(passage, "questions"):
        for answer in field_rows(question, "answers"):
            yield {
                "paragraph": files.field_text(passage, "text"),
                "question": files.field_text(question, "question"),
                "answer": files.field_text(answer, "text"),
                "label": _label(answer, split),
                "idx": {
                    "paragraph": field_number(row, "idx"),
                    "question": field_number(question, "idx"),
                    "answer": field_number(answer, "idx"),
                },
            }


def _label(answer: files.Row, split: str) -> int:
    if split == "test" and "label" not in answer.fields:
        return UNLABELLED
    return field_label(answer, "label", {"0": 0, "1": 1})


def _read_request(row: files.Row, number: int) -> Features:
    texts = {name: files.field_text(row, name) for name in TEXTS}
    index = {"paragraph": number, "question": number, "answer": number}
    return {**texts, "label": UNLABELLED, "idx": index}


def _postprocess(text: str, example: Any = None, is_target: bool = False) -> Any:
    """Groups answers by paragraph and question; t5 groups by the question alone.

    The official files number the questions through all paragraphs, so that the scores
    are the same; other files start anew in each paragraph.
    """
    found: dict[str, Any] = postprocessors.multirc(
        text, example=example, is_target=is_target
    )
    if is_target:
        found["group"] = (example["idx/paragraph"], example["idx/question"])
    return found


_CONFIG: Any = super_glue.SuperGlue.builder_configs["multirc"]

MULTIRC = BuiltSpec(
    name="multirc",
    origin=Origin(
        tfds_name=f"super_glue/multirc:{_CONFIG.version}",
        folder="MultiRC",
        files=JSONL,
        features=(*TEXTS, "label"),
        index=("paragraph", "question", "answer"),
    ),
    read_file=_read_file,
    read_request=_read_request,
    to_text=glue_utils.get_glue_text_preprocessor(_CONFIG),
    prefix="multirc ",
    postprocess_fn=_postprocess,
    # F1 over all answers, and the share of questions with every answer right.
    metric_fns=(
        metrics.multirc_f1_over_all_answers,
        metrics.mean_group_metric(metrics.all_match),
    ),
    label_words=tuple(_CONFIG.label_classes),
)
