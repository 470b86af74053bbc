"""A vocabulary of bytes, for tests that need no model's own."""

from jaxprompt.data.vocabulary.pieces import Located, Pieces
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

_FIRST = 3
"""Id of byte 0, behind padding, end-of-sequence and the unknown piece."""


def byte_vocabulary(*, causal: bool = False) -> Vocabulary:
    """Makes ByT5's vocabulary without its sentinels: an id is a byte and 3."""

    def encode(text: str) -> list[int]:
        return [_FIRST + x for x in text.encode()]

    def locate(text: str) -> Located:
        """Locates the bytes of a text that is ASCII alone."""
        ids = encode(text)
        return Located(ids, [(place, place + 1) for place in range(len(ids))])

    pieces = Pieces(
        size=_FIRST + 256,
        end=1,
        unknown=2,
        encode=lambda texts: [encode(text) for text in texts],
        decode=lambda ids: bytes(x - _FIRST for x in ids if x >= _FIRST).decode(
            errors="ignore"
        ),
        name=str,
        locate=lambda texts: [locate(text) for text in texts],
    )
    return Vocabulary(pieces, rows=None, causal=causal)
