"""A decoder-only model's vocabulary: its own ids, one up."""

import json
from pathlib import Path

import pytest
import tokenizers

from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

TEXTS = ["Hello world!", "  two  spaces", "日本語", "", "a\nb", "naïve 🙂"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vocab.json and merges.txt, as GPT-2's, of 300 pieces."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["Hello world! hello there, world"] * 20,
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.save_model(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("file", ["vocab.json", "tokenizer.json"])
def test_byte_level_pieces_write_any_text_and_end_with_their_own_end(
    gpt2: Path, file: str
):
    vocabulary = load_vocabulary(gpt2 / file, causal=True)
    size = len(json.loads((gpt2 / "vocab.json").read_text()))
    assert vocabulary.vocab_size == size
    assert vocabulary.eos_id == 0
    for text in TEXTS:
        ids = vocabulary.encode(text)
        assert vocabulary.decode([*ids, vocabulary.eos_id, 5, 6]) == text
        # A table may have more rows than there are pieces.
        assert vocabulary.decode([size, *ids, size + 5]) == text


def test_ids_are_pytorchs(gpt2: Path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2Tokenizer.from_pretrained(str(gpt2))
    vocabulary = load_vocabulary(gpt2, causal=True)
    for text in TEXTS:
        assert vocabulary.encode(text) == theirs(text)["input_ids"]


def test_a_japanese_text_names_its_separator(causal_spiece: Path):
    vocabulary = load_vocabulary(causal_spiece.parent, causal=True)
    assert vocabulary.eos_id == 2
    assert vocabulary.encode("[SEP]") == [5]
    ids = vocabulary.encode("film 1[SEP]yes")
    assert ids.count(5) == 1
    assert vocabulary.decode(ids) == "film 1[SEP]yes"


def test_letters_become_small_where_the_model_was_trained_so(causal_spiece: Path):
    plain = load_vocabulary(causal_spiece, causal=True)
    folder = causal_spiece.parent / "lower"
    folder.mkdir()
    (folder / "spiece.model").write_bytes(causal_spiece.read_bytes())
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({"do_lower_case": True}))
    lower = load_vocabulary(folder, causal=True)
    assert lower.encode("FILM[SEP]") == plain.encode("film[SEP]")
    assert plain.encode("FILM[SEP]") != plain.encode("film[SEP]")


def test_files_that_are_no_vocabulary_are_refused(gpt2: Path, tmp_path: Path):
    (tmp_path / "vocab.json").write_bytes((gpt2 / "vocab.json").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"merges\.txt, which is absent"):
        load_vocabulary(tmp_path, causal=True)
    for name in ("spiece.model", "tokenizer.json"):
        for content in (b"", b"nonsense"):
            path = tmp_path / f"{len(content)}{name}"
            path.write_bytes(content)
            with pytest.raises(ValueError, match=str(path)):
                load_vocabulary(path, causal=True)
    headless = tokenizers.Tokenizer(tokenizers.models.BPE())
    headless.save(str(tmp_path / "headless.json"))
    with pytest.raises(ValueError, match="no end-of-sequence"):
        load_vocabulary(tmp_path / "headless.json", causal=True)
