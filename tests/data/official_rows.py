"""A few rows of each official task, invented, as its official files have them."""

import json
from pathlib import Path
from typing import Any

FOLDERS = {
    "copa": "COPA",
    "multirc": "MultiRC",
    "record": "ReCoRD",
    "wic": "WiC",
    "wsc": "WSC",
    "axb": "AX-b",
    "cola": "CoLA",
    "stsb": "STS-B",
    "mnli": "MNLI",
}
"""Task -> its official folder."""

PASSAGE = (
    'Ann met Bob in Rome.\n@highlight\nBob waved\n@highlight\nAnn said "Rome!"\n'
    "@highlight\nend"
)

ROWS: dict[str, list[dict[str, Any]]] = {
    "copa": [
        {"premise": "It rained.", "choice1": "Dry.", "choice2": "Wet.",
         "question": "effect", "label": 1},
        {"premise": "It fell.", "choice1": "A push.", "choice2": "A song.",
         "question": "cause", "label": 0},
    ],
    "multirc": [
        {"passage": {"text": "<b>Sent 1: </b>It rained.<br>Ann ran.", "questions": [
            {"question": "What fell?", "idx": 0, "answers": [
                {"text": "Rain", "idx": 0, "label": 1},
                {"text": "Snow", "idx": 1, "label": 0}]},
            {"question": "Who ran?", "idx": 1, "answers": [
                {"text": "Ann", "idx": 2, "label": 1}]}]}},
        {"passage": {"text": "Tea.", "questions": [
            {"question": "What?", "idx": 2, "answers": [
                {"text": "Tea", "idx": 3, "label": 1},
                {"text": "No", "idx": 4, "label": 0}]}]}},
    ],
    "record": [
        {"passage": {"text": PASSAGE, "entities": [
            {"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 15, "end": 18},
            {"start": 32, "end": 34}]},
         "qas": [
            {"query": "@placeholder waved.", "idx": 0, "answers": [
                {"start": 8, "end": 10, "text": "Bob"},
                {"start": 32, "end": 34, "text": "Bob"}]},
            {"query": "Who met? @placeholder", "idx": 1, "answers": [
                {"start": 8, "end": 10, "text": "Bob"},
                {"start": 0, "end": 2, "text": "Ann"}]}]},
        {"passage": {"text": "Ann.", "entities": [{"start": 0, "end": 2}]},
         "qas": [{"query": "@placeholder", "idx": 2, "answers": [
             {"start": 0, "end": 2, "text": "Ann"}]}]},
    ],
    "wic": [
        {"word": "bank", "sentence1": "A river bank.", "sentence2": "A bank loan.",
         "start1": 8, "end1": 12, "start2": 2, "end2": 6, "label": False},
        {"word": "run", "sentence1": "We run.", "sentence2": "They ran.",
         "start1": 3, "end1": 6, "start2": 5, "end2": 8, "label": True},
    ],
    "wsc": [
        {"text": "Sue thanked the man since he helped .", "label": True, "target": {
            "span1_text": "The man.", "span1_index": 2,
            "span2_text": "he", "span2_index": 5}},
        {"text": "Sue thanked the man since he helped .", "label": False, "target": {
            "span1_text": "Sue", "span1_index": 0,
            "span2_text": "he", "span2_index": 5}},
        {"text": "Tom told Sam that he won .", "label": True, "target": {
            "span1_text": "Tom", "span1_index": 0,
            "span2_text": "he", "span2_index": 4}},
    ],
    "axb": [
        {"sentence1": "A cat sat.", "sentence2": "No cat sat.",
         "label": "not_entailment", "logic": "Negation"},
        {"sentence1": "A cat.", "sentence2": "An animal.", "label": "entailment"},
    ],
}  # fmt: skip

TABLES = {
    "cola": ["a01\t1\t\tIt rained.", "a01\t0\t*\tIt rain was \"."],
    "stsb": ["sentence1\tsentence2\tscore", "A man.\tA boy.\t3.700", "Up.\tUp.\t5.000"],
    "mnli": [
        "index\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\tIt rained.\tIt was wet.\tentailment\tentailment",
        "1\tIt rained.\tIt was May.\tneutral\tneutral",
        "2\tIt rained.\tIt was dry.\tneutral\tcontradiction",
    ],
}  # fmt: skip


def write_official(name: str, data_dir: Path) -> Path:
    """Writes the official files of a task below DATA_DIR, "test" without labels.

    Returns:
        The task's folder.
    """
    folder = data_dir / FOLDERS[name]
    folder.mkdir(parents=True)
    if name == "axb":
        write_jsonl(folder / f"{folder.name}.jsonl", ROWS[name])
    elif name in ROWS:
        for file in ("train", "val"):
            write_jsonl(folder / f"{file}.jsonl", ROWS[name])
        write_jsonl(folder / "test.jsonl", [unlabelled(row) for row in ROWS[name]])
    elif name == "cola":
        for file in ("train", "dev"):
            write_lines(folder / f"{file}.tsv", TABLES[name])
        write_lines(folder / "test.tsv", ["index\tsentence", "0\tIt rained."])
    else:
        header, *rows = TABLES[name]
        write_lines(folder / "train.tsv", [header, *rows])
        sections = {"": rows}
        if name == "mnli":
            sections = {"_matched": rows, "_mismatched": rows[1:]}
        for end, some in sections.items():
            lines = [header, *some]
            write_lines(folder / f"dev{end}.tsv", lines)
            cut = [line.rpartition("\t")[0] for line in lines]
            write_lines(folder / f"test{end}.tsv", cut)
    return folder


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    numbered = [{**row, "idx": number} for number, row in enumerate(rows)]
    write_lines(path, [json.dumps(row) for row in numbered])


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def unlabelled(row: Any) -> Any:
    if isinstance(row, dict):
        kept = {k: v for k, v in row.items() if k != "label"}
        # A query has answers and one number; what MultiRC calls so has texts inside.
        if "query" in kept:
            del kept["answers"]
        return {key: unlabelled(value) for key, value in kept.items()}
    return [unlabelled(item) for item in row] if isinstance(row, list) else row
