"""A backbone's vocabulary: text <-> ids that have a row in its embedding table."""

import copy
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxprompt.data.vocabulary.files import find_vocabulary, read_vocabulary
from jaxprompt.data.vocabulary.pieces import Frame, Located, Pieces
from jaxprompt.no_token import NO_TOKEN

T5_START = 0
"""Id of T5's padding, from which its decoder starts."""

_SHOWN = 5  # Tokens that a note names.
_SHOWN_TEXT = 60  # Characters of a text that an error shows.


class Vocabulary:
    """A model's own vocabulary: its ids are those of the checkpoint.

    None of them stands for padding: batches say by their segments where no token is,
    and answers by `no_token.NO_TOKEN`.

    Attributes:
        pieces: How texts become ids, and ids texts.
        causal: Whether it is a decoder-only model's.
        start_id: Id that answers of an encoder-decoder model begin behind, T5's padding
            0, which stands for no text; None for other models.
        eos_id: Id of end-of-sequence.
        end_ids: All ids that end an answer: that one first, then the ends of a turn.
        unk_id: Id of a piece that the vocabulary lacks; the end's, where it lacks none.
        vocab_size: How many ids there are.
        frame: Ids that an encoder-only model reads around a text; None for others.
        adds_bos: Whether `Pieces.bos` stands in front of every text.
        place: The file that it came from; None for none.
    """

    def __init__(
        self,
        pieces: Pieces,
        *,
        causal: bool = False,
        rows: int | None,
        place: Path | None = None,
    ):
        """Takes a model's vocabulary.

        Args:
            pieces: How texts become ids, and ids texts.
            causal: Whether it is a decoder-only model's.
            rows: Ids that the embedding table has rows for; None for no limit.
            place: The file that it came from; None for none.
        """
        self.pieces = pieces
        self.causal = causal
        self.place = place
        self.frame: Frame | None = pieces.frame
        self.adds_bos = True
        self.start_id = None if causal or pieces.frame is not None else T5_START
        self._rows = rows
        self.vocab_size = pieces.size
        self.eos_id = pieces.end
        self.end_ids = (pieces.end, *pieces.turn_ends)
        self.unk_id = pieces.end if pieces.unknown is None else pieces.unknown

    @property
    def first(self) -> tuple[int, ...]:
        """Ids that the model reads in front of a text, as [CLS] or <s>.

        Raises:
            ValueError: If the embedding table has no row for one.
        """
        if self.frame is not None:
            return self.frame.first
        bos = self.pieces.bos if self.adds_bos else ()
        if self._rows is not None and max(bos, default=0) >= self._rows:
            raise ValueError(
                f"the model's tokenizer puts {self.bos_text!r} of id {max(bos)} in "
                f"front of a text, but its embedding table has {self._rows} rows: "
                "leave it out by --gin.Data.add_bos=False"
            )
        return bos

    @property
    def bos_text(self) -> str | None:
        """How beginning-of-sequence is written; None where the tokenizer adds none."""
        return "".join(map(self.pieces.name, self.pieces.bos)) or None

    @property
    def separator(self) -> int | None:
        """Id that ends the first of two texts, where an encoder-only model reads it."""
        return None if self.frame is None else self.frame.between[0]

    @property
    def separator_text(self) -> str | None:
        """How what stands between two texts is written; None where nothing does."""
        if self.frame is None:
            return None
        return "".join(map(self.pieces.name, self.frame.between))

    @property
    def rowless(self) -> dict[int, str]:
        """Ids for which the embedding table has no row -> their tokens."""
        if self._rows is None:
            return {}
        ids = range(self._rows, self.vocab_size)
        return {number: self.pieces.name(number) for number in ids}

    def ending_with(self, end: int) -> "Vocabulary":
        """Returns the same vocabulary with another of `end_ids` as its end.

        Args:
            end: The id that ends what the model is to write, such as that of a turn.
        """
        ending = copy.copy(self)
        ending.eos_id = end
        ending.end_ids = (end, *(other for other in self.end_ids if other != end))
        return ending

    def without_bos(self) -> "Vocabulary":
        """Returns the same for texts that hold beginning-of-sequence, or have none."""
        bare = copy.copy(self)
        bare.adds_bos = False
        return bare

    def encode(self, text: str) -> list[int]:
        """Turns a text into ids, without what stands in front of it and behind it.

        Raises:
            ValueError: If it holds a token without a row in the embedding table.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Turns texts into ids, with as many threads as the library takes.

        Raises:
            ValueError: As `encode`.
        """
        encoded = self.pieces.encode(texts)
        return [self._checked(*found) for found in zip(texts, encoded, strict=True)]

    def locate(self, texts: Sequence[str]) -> list[Located]:
        """Turns texts into ids as `encode_all` does, and says where each token stands.

        Raises:
            ValueError: As `encode`; or if the vocabulary's library does not say it.
        """
        if self.pieces.locate is None:
            raise ValueError(
                f"the vocabulary {self.place} does not say where its tokens stand in a "
                "text: use a model with a tokenizer.json"
            )
        found = self.pieces.locate(texts)
        return [
            Located(self._checked(text, one.ids), one.spans)
            for text, one in zip(texts, found, strict=True)
        ]

    def _checked(self, text: str, ids: list[int]) -> list[int]:
        """Returns a text's ids; ValueError unless the table has a row for each."""
        if self._rows is not None and max(ids, default=0) >= self._rows:
            self._refuse(text, max(ids))
        return ids

    def _refuse(self, text: str, number: int) -> None:
        shown = text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."
        raise ValueError(
            f"the text {shown!r} holds the token {self.pieces.name(number)!r} of id "
            f"{number}, but the model's embedding table has {self._rows} rows: take "
            "the token out of the text, or give the table a row for it"
        )

    def decode(self, ids: Iterable[int]) -> str:
        """Turns ids into a text, which ends at the first of `end_ids`.

        Args:
            ids: The ids; one that the vocabulary lacks is written as the unknown piece,
                or as nothing where there is none, and `no_token.NO_TOKEN` as nothing.
        """
        kept: list[int] = []
        for number in map(int, ids):
            if number in self.end_ids:
                break
            if number in (NO_TOKEN, self.start_id):
                continue
            if number < self.vocab_size:
                kept.append(number)
            elif self.pieces.unknown is not None:
                kept.append(self.pieces.unknown)
        return self.pieces.decode(kept)


def load_vocabulary(
    path: str | Path,
    extra_ids: int | None = None,
    *,
    causal: bool = False,
    encoder_only: bool = False,
    rows: int | None = None,
) -> Vocabulary:
    """Loads the vocabulary of a backbone; the same arguments give the same object.

    It is the model's own tokenizer, read by transformers: tokenizer.json, or the
    spiece.model, vocab.txt or vocab.json and merges.txt, with the added_tokens.json,
    special_tokens_map.json and tokenizer_config.json beside it. A spiece.model that
    lies alone, or belongs to a decoder-only model, is read by SentencePiece.

    Args:
        path: A folder with such files, or one of them.
        extra_ids: Sentinels to add behind a SentencePiece model, which is then read as
            if it lay alone. By default the tokenizer's own; for a SentencePiece model
            that lies alone none if it holds <extra_id_0> already (mT5), or if the table
            has no rows for them, else 100.
        causal: Whether it is a decoder-only model's.
        encoder_only: Whether it is an encoder-only model's.
        rows: Ids that the model's embedding table has rows for, from id 0. A text that
            holds another token is an error. None for no limit.

    Returns:
        The vocabulary.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the vocabulary has no end-of-sequence, or that of an
            encoder-decoder model does not pad with id 0.
    """
    # Not resolved: the Hub's cache links a name with a suffix to a file without one.
    place = find_vocabulary(path).absolute()
    return _load(place, extra_ids, causal, encoder_only, rows)


def decode(vocabulary: Vocabulary, ids: Iterable[Iterable[int]]) -> list[str]:
    """Turns ids [B, L] into B texts; a text ends at its end-of-sequence."""
    return [vocabulary.decode(row) for row in ids]


def rowless_note(vocabulary: Vocabulary) -> str | None:
    """Says which tokens have no row in the embedding table; None if all have one."""
    tokens = list(vocabulary.rowless.values())
    if not tokens:
        return None
    names = ", ".join(map(repr, tokens[:_SHOWN]))
    more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
    return (
        f"tokens of the vocabulary without a row in the model's embedding table: "
        f"{len(tokens)} ({names}{more}); a text that holds one is refused"
    )


@functools.cache
def _load(
    path: Path,
    extra_ids: int | None,
    causal: bool,
    encoder_only: bool,
    rows: int | None,
) -> Vocabulary:
    pieces = read_vocabulary(path, extra_ids, causal, encoder_only, rows)
    return Vocabulary(pieces, causal=causal, rows=rows, place=path)
