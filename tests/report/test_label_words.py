"""A label word is found where it is among the neighbours, and where it started."""

import numpy as np
import pytest
from tiny import VOCAB_ROWS, WIDTH

from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.report.reading.label_words import trace_label_words
from jaxprompt.report.reading.nearest import METRICS, nearest_ids

DRAW = np.random.default_rng(1)
TABLE = DRAW.normal(size=(VOCAB_ROWS, WIDTH)).astype(np.float32)
WORDS = {"good": [8], "bad": [30], "so-so": [12, 13]}


def embedding(word: str) -> np.ndarray:
    return TABLE[WORDS[word]].mean(axis=0)


def prompt_of(*rows: np.ndarray) -> Prompt:
    return make_prompt(np.stack(rows))


START = prompt_of(embedding("so-so"), embedding("good"), embedding("bad"), TABLE[40])
# The third has left its word behind; the fourth has come to one.
END = prompt_of(
    2 * embedding("so-so"), 3 * embedding("good"), TABLE[50], 2 * embedding("good")
)


def test_it_tells_where_each_word_started_where_it_is_and_who_kept_it():
    good, bad, so_so = trace_label_words(TABLE, END, WORDS, 3, start=START)
    assert (good.word, good.started, good.near, good.kept) == (
        "good",
        (1,),
        (1, 3),
        (1,),
    )
    assert (bad.word, bad.started, bad.kept) == ("bad", (2,), ())
    assert bad.ranks[2] > 3
    # A word of two pieces stands for itself by their mean.
    assert (so_so.started, so_so.kept, so_so.ranks[0]) == ((0,), (0,), 1)


@pytest.mark.parametrize("metric", METRICS)
def test_a_word_of_one_piece_has_the_rank_that_the_neighbours_say(metric: str):
    prompt = make_prompt(DRAW.normal(size=(20, WIDTH)).astype(np.float32))
    among = np.arange(VOCAB_ROWS) % 5 != 0
    ids, _ = nearest_ids(TABLE, prompt, 51, metric=metric, among=among)
    words = {"good": [8], "bad": [31]}
    for label in trace_label_words(TABLE, prompt, words, 6, metric=metric, among=among):
        (row,) = words[label.word]
        places = [near.tolist().index(row) for near in ids]
        assert label.ranks == tuple(place + 1 for place in places)
        assert label.near == tuple(np.flatnonzero(np.array(places) < 6))


def test_without_a_start_the_words_that_it_began_with_are_taken_in_order():
    words = trace_label_words(TABLE, END, WORDS, 3, started=["so-so", "good"])
    assert {word.word: word.started for word in words} == {
        "good": (1,),
        "bad": (),
        "so-so": (0,),
    }
    unknown = trace_label_words(TABLE, END, WORDS, 3)
    assert [word.started for word in unknown] == [(), (), ()]


def test_a_start_that_bfloat16_has_rounded_is_still_the_word():
    low = np.asarray(START.rows[0].astype("bfloat16"), np.float32)
    good, *_ = trace_label_words(TABLE, END, WORDS, 3, start=make_prompt(low))
    assert good.started == (1,)


def test_another_models_vocabulary_is_told():
    with pytest.raises(ValueError, match="'far' has token 64, but the model has 64"):
        trace_label_words(TABLE, END, {"far": [3, 64]}, 3)
    assert trace_label_words(TABLE, END, {}, 3) == []
