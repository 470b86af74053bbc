"""What a vocabulary can write: a text as it comes back, and the characters it lacks."""

import unicodedata

from jaxprompt.data.vocabulary.vocabulary import Vocabulary


def lost_ids(vocabulary: Vocabulary) -> set[int]:
    """Returns the ids that stand for no text: T5's start, ends of answers, unknown.

    An answer that needs one of them inside can never be written.
    """
    own = {*vocabulary.end_ids, vocabulary.unk_id}
    return own if vocabulary.start_id is None else own | {vocabulary.start_id}


def come_back(vocabulary: Vocabulary, text: str) -> str:
    """Returns the text that a text's tokens are decoded to, <unk> and all."""
    return vocabulary.decode(vocabulary.encode(text))


def as_written(vocabulary: Vocabulary, text: str) -> str | None:
    """Returns a text as it reads where a model writes every token of it.

    A SentencePiece vocabulary does not tell all texts apart: line breaks, tabs and
    repeated spaces become one space, those at the ends are lost, and Unicode's
    compatibility forms are replaced (NFKC: "²" by "2").

    Args:
        vocabulary: The backbone's vocabulary.
        text: A text.

    Returns:
        The text that its tokens are decoded to; None if the vocabulary lacks some of
        its characters, so that they become <unk>.
    """
    if lost_ids(vocabulary).intersection(vocabulary.encode(text)):
        return None
    return come_back(vocabulary, text)


def lost_characters(vocabulary: Vocabulary, text: str) -> str:
    """Returns the characters of a text that the vocabulary lacks, each once.

    It is empty where they are lost only together, as "<|endoftext|>" is.
    """
    composed = unicodedata.normalize("NFC", text)
    return "".join(
        character
        for character in dict.fromkeys(composed)
        if as_written(vocabulary, character) is None
    )


def mask_of(vocabulary: Vocabulary) -> str:
    """Returns the text of a vocabulary's mask: of T5's, its first sentinel.

    Raises:
        ValueError: If it has none.
    """
    for text in ("<extra_id_0>", "[MASK]", "<mask>"):
        try:
            ids = vocabulary.encode(text)
        except ValueError:  # The model's table has no row for it.
            continue
        if len(ids) == 1 and vocabulary.decode(ids).strip() == text:
            return text
    raise ValueError(
        "the template has a mask, but the model's vocabulary has none: leave {mask:1} "
        "out, or take a model that was trained with masks"
    )
