"""A vocabulary gives the same ids from either file, and says what is wrong with one."""

import json
import shutil
from pathlib import Path

import pytest
import seqio
import tokenizers

from jaxprompt.data.vocabulary.vocabulary import Vocabulary, decode, load_vocabulary

TEXTS = (
    "sentence: a kettle sings, loudly; twice.",
    "not_entailment",
    "  two  spaces and a caf\u00e9 \u2603 ",
    "",
)


def test_t5_ids_are_the_same_from_both_files(shared: Path):
    folder = shared / "data" / "vocab" / "t5"
    pieces = load_vocabulary(folder / "spiece.model", extra_ids=100)
    fast = load_vocabulary(folder / "tokenizer.json")
    assert pieces.pieces.tokenizer_json is None
    assert fast.pieces.tokenizer_json is not None
    assert pieces.vocab_size == fast.vocab_size == 32100
    assert (pieces.eos_id, pieces.unk_id) == (fast.eos_id, fast.unk_id) == (1, 2)
    rows = (shared / "data/glue/SST-2/dev.tsv").read_text("utf-8").splitlines()[1:]
    for text in (*TEXTS, *rows):
        ids = list(pieces.encode(text))
        assert list(fast.encode(text)) == ids
    for text in rows[:50]:
        # An unknown piece reads "<unk>" in one and " ⁇ " in the other.
        ids = [i for i in pieces.encode(text) if i != 2] + [1, 0, 0]
        assert fast.decode(ids) == pieces.decode(ids)


def test_same_path_same_object(spiece: Path):
    assert load_vocabulary(spiece) is load_vocabulary(spiece.parent)


def test_many_texts_at_once_are_each_alone(shared: Path):
    folder = shared / "data" / "vocab" / "t5"
    for file in ("spiece.model", "tokenizer.json"):
        pieces = load_vocabulary(folder / file)
        assert pieces.encode_all(TEXTS) == [pieces.encode(text) for text in TEXTS]
        assert pieces.encode_all([]) == []


def test_text_ends_at_end_of_sequence(vocabulary: Vocabulary):
    ids = [*vocabulary.encode("yes"), 1, *vocabulary.encode("no"), 0]
    assert decode(vocabulary, [ids, ids[:-1]]) == ["yes", "yes"]


def test_sentinels(spiece: Path, tmp_path: Path):
    pieces = load_vocabulary(spiece, extra_ids=0).vocab_size
    assert load_vocabulary(spiece).vocab_size == pieces + 100
    assert load_vocabulary(spiece, extra_ids=5).vocab_size == pieces + 5
    path = Path(shutil.copy(spiece, tmp_path))
    path.with_name("tokenizer_config.json").write_text(json.dumps({"extra_ids": 7}))
    assert load_vocabulary(path).vocab_size == pieces + 7


def test_malformed_tokenizer_config(spiece: Path, tmp_path: Path):
    path = Path(shutil.copy(spiece, tmp_path))
    config = path.with_name("tokenizer_config.json")
    config.write_text("[")
    with pytest.raises(
        ValueError, match=r"tokenizer_config\.json is not JSON: .*fetch"
    ):
        load_vocabulary(path)
    config.write_text('{"extra_ids": "7"}')
    with pytest.raises(
        ValueError, match=r'extra_ids is "7": it must be a whole number'
    ):
        load_vocabulary(path)


def test_a_model_that_lies_alone_is_read_as_seqio_reads_it(spiece: Path):
    theirs = seqio.SentencePieceVocabulary(str(spiece), extra_ids=100)
    ours = load_vocabulary(spiece)
    assert ours.vocab_size == theirs.vocab_size
    for text in (*TEXTS, "a <extra_id_3> b", "a<extra_id_3>b", "</s> \u65e5\u672c"):
        ids = list(theirs.encode(text))
        assert list(ours.encode(text)) == ids
        assert ours.decode(ids) == theirs.decode(ids)


def test_sentinels_in_the_model_are_not_added_again(spiece: Path, tmp_path: Path):
    # As in mT5: the file that seqio makes of a model and 100 sentinels.
    path = tmp_path / "spiece.model"
    with_sentinels = seqio.SentencePieceVocabulary(str(spiece), extra_ids=100)
    path.write_bytes(with_sentinels.sp_model or b"")
    assert load_vocabulary(path).vocab_size == with_sentinels.vocab_size


def test_missing_vocabulary(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no vocabulary at .*spiece.model"):
        load_vocabulary(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"tokenizer.json or spiece.model"):
        load_vocabulary(tmp_path)


def test_wrong_files(tmp_path: Path):
    (tmp_path / "spiece.model").write_bytes(b"no model")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        load_vocabulary(tmp_path / "spiece.model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer.json: not a tokenizer"):
        load_vocabulary(tmp_path / "tokenizer.json")


def test_vocabulary_of_another_family(tmp_path: Path):
    words = tokenizers.models.WordLevel({"<unk>": 0, "tea": 1}, unk_token="<unk>")
    tokenizers.Tokenizer(words).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="padding has id None, not 0"):
        load_vocabulary(tmp_path)
