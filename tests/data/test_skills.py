import numpy as np
import pytest

from jaxprompt.data.pretraining.skills import SKILLS, Corpus

ADJECTIVES = "kind cruel warm cold small great".split()
NOUNS = "house garden river window letter village".split()


def make_passages(count: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(0)

    def sentence() -> str:
        adjective, noun = rng.choice(ADJECTIVES), rng.choice(NOUNS)
        other = rng.choice(NOUNS)
        return f"He saw the {adjective} {noun}, and I'm near the {other} of Mary."

    return [(sentence(), "Where did Mary go?", sentence()) for _ in range(count)]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    # Frequent words that are never asked for, then the nouns and adjectives.
    filler = " ".join(
        f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrstuvwxyz"
    )  # 160 words
    common = [(filler,)] * 400
    return Corpus([*make_passages(300), *common])


def draws(name: str, corpus: Corpus, count: int = 300) -> list[tuple[str, str]]:
    found = (
        SKILLS[name](number % 300, corpus, np.random.default_rng(number))
        for number in range(count)
    )
    return [texts for texts in found if texts is not None]


def test_words_in_like_places_are_of_the_same_kind(corpus):
    for adjective in ADJECTIVES:
        near = corpus.alike[adjective]
        assert set(ADJECTIVES) - {adjective} <= set(near)
        assert adjective not in near


@pytest.mark.parametrize("name", SKILLS)
def test_every_skill_answers_and_repeats_itself(name, corpus):
    found = draws(name, corpus)
    assert len(found) > 20
    assert found == draws(name, corpus)
    assert all(inputs.strip() and targets.strip() for inputs, targets in found)
    assert len({inputs for inputs, _ in found}) > 10


@pytest.mark.parametrize("name", ["fitting_word", "fitting_sentence_word"])
def test_the_gap_is_filled_by_the_answer(name, corpus):
    texts = {" ".join(p) for p in corpus.passages} | {
        sentence for passage in corpus.passages for sentence in passage
    }
    places = set()
    for inputs, word in draws(name, corpus):
        question, _, gap = inputs.partition(" ? ")
        options = question.removeprefix("which word fits : ").split(" or ")
        places.add(options.index(word))
        assert gap.replace("_", word) in texts
        assert options[1 - options.index(word)] in corpus.alike[word]
    # The place of an option tells nothing.
    assert places == {0, 1}


def test_words_in_order_are_the_same_words(corpus):
    for inputs, sentence in draws("in_order", corpus):
        shuffled = inputs.removeprefix("put the words in order : ")
        assert sorted(shuffled.split()) == sorted(sentence.split())


@pytest.mark.parametrize("name", ["follows", "same_text", "reworded"])
def test_yes_and_no_are_balanced(name, corpus):
    answers = [answer for _, answer in draws(name, corpus, 600)]
    assert set(answers) == {"yes", "no"}
    assert 0.3 < answers.count("yes") / len(answers) < 0.75


def test_what_follows_is_the_next_sentence(corpus):
    for inputs, answer in draws("follows", corpus):
        first, second = inputs.removeprefix("does this follow ? ").split(" / ")
        if answer == "yes":
            assert any(
                first in passage
                and passage[passage.index(first) + 1 :][:1] == (second,)
                for passage in corpus.passages
            )


def test_rewording_keeps_the_words_and_a_change_is_one_word(corpus):
    for inputs, answer in draws("reworded", corpus):
        first, second = inputs.removeprefix("are these the same ? ").split(" / ")
        first = first.replace("I'm", "I am")
        words = [
            set(text.lower().strip(".").replace(",", "").split())
            for text in (first, second)
        ]
        assert (words[0] == words[1]) == (answer == "yes")


def test_questions_are_told_by_more_than_their_mark(corpus):
    for inputs, answer in draws("question", corpus):
        assert not inputs.endswith("?")
        assert answer == ("question" if "Where did" in inputs else "statement")


def test_who_is_named(corpus):
    assert {answer for _, answer in draws("who", corpus)} == {"Mary"}


def test_a_text_too_small_to_ask_about_gives_nothing():
    tiny = Corpus([("A word.", "Another word.")])
    assert tiny.alike == {}
    rng = np.random.default_rng(0)
    assert SKILLS["fitting_word"](0, tiny, rng) is None
