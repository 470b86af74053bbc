"""ReCoRD: which entity of a news text was left out of a sentence? SuperGLUE."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.official.libraries import t5_preprocessors as preprocessors
from jaxprompt.data.official.libraries import tf
from jaxprompt.data.official.libraries import tfds_super_glue as super_glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import JSONL, BuiltSpec
from jaxprompt.data.read import files
from jaxprompt.data.read.fields import check_ids, field_number, field_row, field_rows
from jaxprompt.data.read.sources import Features


def _read_file(path: Path, split: str) -> list[Features]:
    rows = files.read_rows(path)
    check_ids((x for row in rows for x in _query_ids(row)), "passage and query")
    return [example for row in rows for example in _of_passage(row, split)]


def _query_ids(row: files.Row) -> Iterator[tuple[str, tuple[int, int]]]:
    for query in field_rows(row, "qas"):
        yield query.where, (field_number(row, "idx"), field_number(query, "idx"))


def _of_passage(row: files.Row, split: str) -> Iterator[Features]:
    """Yields an example for each query about a passage; test queries lack answers."""
    passage = field_row(row, "passage")
    text = files.field_text(passage, "text")
    entities = {_entity(place, text) for place in field_rows(passage, "entities")}
    for query in field_rows(row, "qas"):
        answers: list[files.Row] = []
        if split != "test" or "answers" in query.fields:
            answers = field_rows(query, "answers")
            if not answers:
                raise ValueError(f"{query.where}: answers is empty: give one or more")
        yield {
            "passage": text,
            "query": files.field_text(query, "query"),
            "entities": sorted(entities),
            "answers": sorted({files.field_text(x, "text") for x in answers}),
            "idx": {
                "passage": field_number(row, "idx"),
                "query": field_number(query, "idx"),
            },
        }


def _entity(place: files.Row, text: str) -> str:
    start, end = field_number(place, "start"), field_number(place, "end")
    if not start <= end < len(text):
        raise ValueError(
            f"{place.where}: start {start}, end {end} lie outside the text of "
            f"{len(text)} characters: both count, from 0"
        )
    return text[start : end + 1]


def _read_request(row: files.Row, number: int) -> Features:
    texts = {name: files.field_text(row, name) for name in ("passage", "query")}
    entities = row.fields.get("entities")
    if not isinstance(entities, list) or not all(isinstance(x, str) for x in entities):
        raise ValueError(f"{row.where}: entities: give a list of texts")
    index = {"passage": number, "query": number}
    return {**texts, "entities": entities, "answers": [], "idx": index}


def _choose(rows: Sequence[Features], split: str) -> list[Features]:
    """Makes a training row of each answer to a query; it comes first in its row.

    t5 does so for validation too, and scores the first row of each query. Its other
    rows are the same inputs again, so they are left out here.
    """
    if split != "train":
        return list(rows)
    return [
        {**row, "answers": [answer, *(x for x in row["answers"] if x != answer)]}
        for row in rows
        for answer in row["answers"]
    ]


def _to_text(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Formats a row with its first answer as the target, and keeps them all."""

    def first_answer(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "answers": row["answers"][:1]}

    texts = preprocessors.record(dataset.map(first_answer))
    rows = tf.data.Dataset.zip((texts, dataset))
    return rows.map(lambda text, row: {**text, "answers": row["answers"]})


_CONFIG: Any = super_glue.SuperGlue.builder_configs["record"]

RECORD = BuiltSpec(
    name="record",
    origin=Origin(
        tfds_name=f"super_glue/record:{_CONFIG.version}",
        folder="ReCoRD",
        files=JSONL,
        features=("passage", "query", "entities", "answers"),
        index=("passage", "query"),
    ),
    read_file=_read_file,
    read_request=_read_request,
    to_text=_to_text,
    prefix="record ",
    postprocess_fn=postprocessors.record,
    # Exact match and F1 of the best answer, once for each query.
    metric_fns=(metrics.deduplicate_metric(metrics.squad),),
    choose=_choose,
)
