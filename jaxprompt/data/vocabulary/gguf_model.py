"""Reads the vocabulary inside a GGUF file."""

import functools
from pathlib import Path

from jaxprompt.data.vocabulary.pieces import TURN_ENDS, Pieces, locate
from jaxprompt.models.weights.gguf_tokenizer import read_tokenizer


def read_gguf_model(path: Path) -> Pieces:
    """Reads the vocabulary that came with a GGUF file's weights.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no vocabulary that can be read, or one without an
            end-of-sequence.
    """
    read = read_tokenizer(path)
    if not read.ends:
        raise ValueError(f"{path}: its vocabulary has no end-of-sequence")
    tokenizer = read.tokenizer

    def encode(texts: list[str]) -> list[list[int]]:
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    named = {
        number
        for number, token in tokenizer.get_added_tokens_decoder().items()
        if token.special and token.content in TURN_ENDS
    }
    return Pieces(
        size=len(read.tokens),
        end=read.ends[0],
        unknown=read.unknown,
        encode=lambda texts: encode(list(texts)),
        decode=functools.partial(tokenizer.decode, skip_special_tokens=False),
        name=lambda number: read.tokens[number],
        tokenizer_json=tokenizer.to_str,
        bos=() if read.begin is None or not read.adds_begin else (read.begin,),
        turn_ends=tuple({*read.ends, *named} - {read.ends[0]}),
        locate=functools.partial(locate, tokenizer),
    )
