"""A tiny vocabulary and a folder of official files, both made on the spot."""

import io
import json
from pathlib import Path

import pytest
import sentencepiece

from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary

SENTENCES = [
    "a kettle sings on the stove and nobody minds the rain",
    "the second act sags , but the finale soars",
    "sentence: premise: hypothesis: question: passage:",
    "entailment not_entailment contradiction neutral",
    "positive negative True False yes no maybe <unk>",
    "film 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
    "our baker sells two loaves for the price of one every friday",
]


@pytest.fixture(scope="session")
def spiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model with T5's special ids, without sentinels."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=model,
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="session")
def causal_spiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model with the special ids of rinna's Japanese models."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=model,
        vocab_size=120,
        hard_vocab_limit=False,
        user_defined_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("causal_vocabulary") / "spiece.model"
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="session")
def vocabulary(spiece: Path) -> Vocabulary:
    return load_vocabulary(spiece)


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def sst2_rows(num_rows: int) -> list[tuple[str, int]]:
    """Invented reviews of different lengths, sorted by label as official files may."""
    words = SENTENCES[0].split()
    return [
        (f"film {i} " + " ".join(words[: i % 7]), int(i >= num_rows * 0.6))
        for i in range(num_rows)
    ]


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_DIR with SST-2 (20 train, 5 validation, 3 test rows) and CB."""
    folder = tmp_path_factory.mktemp("data_dir")
    sst2 = folder / "glue" / "SST-2"
    sst2.mkdir(parents=True)
    for name, num_rows in (("train", 20), ("dev", 5)):
        lines = [f"{text}\t{label}" for text, label in sst2_rows(num_rows)]
        (sst2 / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines, ""]))
    lines = [f"{i}\t{text}" for i, (text, _) in enumerate(sst2_rows(3))]
    (sst2 / "test.tsv").write_text("\n".join(["index\tsentence", *lines, ""]))
    labels = ("entailment", "neutral", "contradiction", "entailment")
    rows = [
        {"premise": f"rain {i}", "hypothesis": "wet", "label": label, "idx": i}
        for i, label in enumerate(labels)
    ]
    for split in ("train", "val"):
        write_jsonl(folder / "superglue" / "CB" / f"{split}.jsonl", rows)
    return folder
