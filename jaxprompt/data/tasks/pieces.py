"""A template's pieces -> token ids, with places for soft tokens and spans to cut."""

from collections.abc import Callable, Iterator, Sequence

from jaxprompt.data.read.template import Piece
from jaxprompt.data.vocabulary.tokens import Span, soft_place


def encode_pieces(
    pieces: Sequence[Piece], encode: Callable[[str], Sequence[int]]
) -> tuple[list[int], tuple[Span, ...]]:
    """Tokenises a text that soft tokens stand in.

    What stands between soft tokens is tokenised as one text, so that words read as they
    do without a template.

    Args:
        pieces: In order.
        encode: From a text to ids, without end-of-sequence.

    Returns:
        The ids, with `tokens.soft_place` of k for the k-th soft token; and what is
        shortened where there is no room, in this order.
    """
    ids: list[int] = []
    spans: list[tuple[int, bool, Span]] = []
    soft = 0
    for words, slots in _runs(pieces):
        text = "".join(piece.text for piece in words)
        start = len(ids)
        ids += encode(text)
        before = ""
        for piece in words:
            first, before = before, before + piece.text
            if piece.cut is not None:
                # Where two pieces share a token, it stays with the first.
                begin, end = (
                    start + min(len(encode(text)), len(ids) - start)
                    for text in (first, before)
                )
                spans.append((piece.cut, piece.balanced, Span(begin, end)))
        ids += [soft_place(soft + number) for number in range(slots)]
        soft += slots
    # Of a field that stands twice, the last is cut first.
    spans.sort(key=lambda found: (found[0], -found[2].start))
    places = [place for place, _, _ in spans]
    return ids, tuple(
        span._replace(joined=balanced and place in places[:number])
        for number, (place, balanced, span) in enumerate(spans)
    )


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[list[Piece], int]]:
    """Yields the words up to each run of soft tokens, and how many these are."""
    words: list[Piece] = []
    for piece in pieces:
        if piece.slots:
            yield words, piece.slots
            words = []
        else:
            words.append(piece)
    yield words, 0
