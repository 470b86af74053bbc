"""A model's own vocabulary in plain Python: text <-> its own ids."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.files.json_file import read_json_object

TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
)
"""How models write the end of a turn or of a text, where it is a special token."""


class Frame(NamedTuple):
    """The ids that an encoder-only model reads around a text, and between two.

    Attributes:
        first: In front of a text, as [CLS].
        between: Between two texts: BERT's [SEP], RoBERTa's </s></s>.
        last: Behind the last text.
    """

    first: tuple[int, ...]
    between: tuple[int, ...]
    last: tuple[int, ...]


class Located(NamedTuple):
    """The ids of a text, and where each token stands in it.

    Attributes:
        ids: Of its tokens.
        spans: Of each, the character that it begins with, and the one behind it.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


def locate(tokenizer: Any, texts: Sequence[str]) -> list[Located]:
    """Tokenises texts by the tokenizers library, with the places of all tokens."""
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [Located(encoding.ids, encoding.offsets) for encoding in encoded]


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A vocabulary with the ids that its model gives them.

    Attributes:
        size: How many ids there are.
        end: Id of end-of-sequence.
        unknown: Id of what the vocabulary lacks; None where bytes are pieces.
        encode: From texts to the ids of each, without end-of-sequence and without any
            other token that the text does not hold.
        decode: From ids to their text.
        name: From an id to how its token is written.
        tokenizer_json: Returns the content of a tokenizer.json that encodes and decodes
            in the same way; None where there is only a SentencePiece model.
        turn_ends: Other ids that end an answer, such as the end of a turn.
        frame: What an encoder-only model reads around a text; None for other models.
        bos: What a decoder's tokenizer puts in front of a text, beginning-of-sequence;
            empty where it puts nothing.
        locate: Does what `encode` does, with the places of all tokens; None where the
            library does not say them.
    """

    size: int
    end: int
    unknown: int | None
    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[list[int]], str]
    name: Callable[[int], str]
    tokenizer_json: Callable[[], str] | None = None
    turn_ends: tuple[int, ...] = ()
    frame: Frame | None = None
    bos: tuple[int, ...] = ()
    locate: Callable[[Sequence[str]], list[Located]] | None = None


def check_t5_ids(path: Path, pad: int | None, end: int | None) -> int:
    """Returns the id of end-of-sequence; ValueError if this is no T5's vocabulary."""
    if pad != 0:
        raise ValueError(f"{path}: padding has id {pad}, not 0: not a T5 vocabulary")
    if end is None or end < 0:
        raise ValueError(f"{path}: no end-of-sequence piece: not a T5 vocabulary")
    return end


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a JSON object; an absent file is an empty one.

    Raises:
        ValueError: If the file holds something else.
    """
    return read_json_object(path, "fetch it again") if path.is_file() else {}
