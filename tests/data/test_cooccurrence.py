import numpy as np
import pytest

from jaxprompt.data.pretraining.cooccurrence import cooccurrence_rows
from jaxprompt.data.pretraining.tokenizer import train_vocabulary, write_vocabulary
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

FIELDS = {
    "farm": "cow barn hay plough field tractor".split(),
    "sea": "ship wave sail anchor harbour storm".split(),
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    return [
        " ".join(rng.choice(words, 8)) for words in FIELDS.values() for _ in range(200)
    ]


@pytest.fixture(scope="module")
def vocabulary(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    model = train_vocabulary([(text,) for text in texts], pieces=110)
    write_vocabulary(folder, model, sentinels=8)
    return load_vocabulary(folder)


def test_pieces_of_one_field_start_alike(texts, vocabulary):
    rows = cooccurrence_rows(texts, vocabulary, width=6)

    def row(word: str) -> np.ndarray:
        ids = vocabulary.encode(word)
        return np.mean([rows[number] for number in ids], axis=0)

    def cosine(first: str, second: str) -> float:
        a, b = row(first), row(second)
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    for word in FIELDS["farm"][1:]:
        assert cosine("cow", word) > max(cosine("cow", far) for far in FIELDS["sea"])


def test_rows_have_the_size_of_t5s_embeddings_and_are_repeatable(texts, vocabulary):
    rows = cooccurrence_rows(texts, vocabulary, width=6)
    table = np.stack(list(rows.values()))
    assert table.dtype == np.float32
    np.testing.assert_allclose(np.mean(table**2, axis=1), 1.0, rtol=1e-5)
    again = np.stack(list(cooccurrence_rows(texts, vocabulary, width=6).values()))
    np.testing.assert_array_equal(table, again)


def test_too_little_text_is_refused(vocabulary):
    with pytest.raises(ValueError, match="of width 64 need more than 64"):
        cooccurrence_rows(["cow barn"], vocabulary, width=64)
