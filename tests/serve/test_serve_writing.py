"""Text of a growing answer: what was told stays, and no stop string is told."""

import hypothesis
import hypothesis.strategies as st
import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.serve.slots.writing import Writing

FIRST = 3  # The id of byte 0.


def ids_of(text: str) -> list[int]:
    return [FIRST + byte for byte in text.encode()]


def write(ids, stops=(), most=100) -> tuple[list[str], str | None]:
    writing, pieces = Writing(byte_vocabulary(), most, stops), []
    for token in ids:
        pieces.append(writing.add(token))
        if writing.finish:
            break
    return pieces, writing.finish


def test_an_answer_ends_at_its_end_or_at_its_length():
    assert write([*ids_of("no"), 1]) == (["n", "o", ""], "stop")
    assert write(ids_of("nothing"), most=2) == (["n", "o"], "length")


def test_what_may_begin_a_stop_string_waits():
    pieces, finish = write(ids_of("a<|b<|end|>c"), stops=["<|end|>", "xyz"])
    assert ("".join(pieces), finish) == ("a<|b", "stop")
    assert pieces[1] == ""
    pieces, finish = write([*ids_of("a<|e"), 1], stops=["<|end|>"])
    assert ("".join(pieces), finish) == ("a<|e", "stop")


@pytest.mark.parametrize("stops", [[], ["é"], ["ab", "b"]])
@hypothesis.given(text=st.text("ab é日", max_size=12))
def test_pieces_are_the_whole_text(stops, text):
    pieces, _ = write([*ids_of(text), 1], stops)
    ends = [text.index(stop) for stop in stops if stop in text]
    assert "".join(pieces) == text[: min(ends, default=len(text))]
