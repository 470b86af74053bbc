"""Reads a bare spiece.model: T5's, with sentinels behind it, or rinna's."""

import itertools
import re
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

from jaxprompt.data.vocabulary.pieces import Pieces, check_t5_ids, read_settings

SENTINELS = 100
"""Sentinels of T5. Source: Raffel et al. 2020, sec. 3.1.4 (arXiv:1910.10683)."""

_PROTO: Any = sentencepiece_model_pb2  # Its classes are made when it is imported.

_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
"""Pieces of rinna's Japanese models that text may name, as its [SEP] does."""


def read_t5_model(
    path: Path, sentinels: int | None = None, rows: int | None = None
) -> Pieces:
    """Reads a T5's spiece.model as T5 itself does.

    Args:
        path: The file.
        sentinels: Ids <extra_id_0>, ... to add behind the pieces, the last one first;
            by default none if the model holds <extra_id_0> already (mT5), or if the
            embedding table has no rows for them, else 100.
        rows: Rows of the embedding table; None for no limit.

    Raises:
        ValueError: If it is no SentencePiece model, does not pad with id 0, or has no
            end-of-sequence.

    Source: `SentencePieceVocabulary` of seqio, where a sentinel is a piece with a space
    before it: next to a letter it is not one.
    """
    proto, model = _open(path)
    end = check_t5_ids(path, model.pad_id(), model.eos_id())
    if sentinels is None:
        names = ("<extra_id_0>", "▁<extra_id_0>")
        held = any(model.piece_to_id(name) != model.unk_id() for name in names)
        # A table without rows for sentinels is of a model that has none.
        fit = rows is None or model.get_piece_size() + SENTINELS <= rows
        sentinels = SENTINELS if fit and not held else 0
    for number in reversed(range(sentinels)):
        proto.pieces.add(
            piece=f"▁<extra_id_{number}>",
            score=0.0,
            type=_PROTO.ModelProto.SentencePiece.USER_DEFINED,
        )
    model = SentencePieceProcessor(model_proto=proto.SerializeToString())
    return Pieces(
        size=model.get_piece_size(),
        end=end,
        unknown=model.unk_id(),
        encode=lambda texts: model.encode(list(texts)),
        decode=model.decode,
        name=model.id_to_piece,
    )


def read_rinna_model(path: Path) -> Pieces:
    """Reads a decoder-only model's spiece.model, and the settings beside it.

    A text may name the special pieces [PAD], [CLS], [SEP] and [MASK], and the tokens of
    added_tokens.json; tokenizer_config.json says whether letters become small.

    The T5Tokenizer of transformers 5, which such folders name, is not used: it takes id
    2 for the unknown piece, which here is the end-of-sequence.

    Raises:
        ValueError: If it is no SentencePiece model, or has no end-of-sequence.
    """
    _, model = _open(path)
    if model.eos_id() < 0:
        raise ValueError(f"{path}: no end-of-sequence piece </s>")
    special = {
        text: model.piece_to_id(text)
        for text in _SPECIAL
        if model.piece_to_id(text) != model.unk_id()
    }
    special |= _added_tokens(path.with_name("added_tokens.json"))
    settings = read_settings(path.with_name("tokenizer_config.json"))
    lower = bool(settings.get("do_lower_case", False))
    longest_first = sorted(special, key=len, reverse=True)
    parting = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        for part in parting.split(text) if special else [text]:
            if part in special:
                ids.append(special[part])
            elif part:
                ids += model.encode(part.lower() if lower else part)
        return ids

    names = {number: text for text, number in special.items()}

    def decode(ids: list[int]) -> str:
        # SentencePiece leaves out what it holds for a control piece.
        parts = itertools.groupby(ids, key=names.get)
        return "".join(
            model.decode(list(run)) if name is None else name * len(list(run))
            for name, run in parts
        )

    return Pieces(
        size=1 + max([model.get_piece_size() - 1, *special.values()]),
        end=model.eos_id(),
        unknown=model.unk_id(),
        encode=lambda texts: [encode(text) for text in texts],
        decode=decode,
        name=lambda number: names.get(number) or model.id_to_piece(number),
    )


def _open(
    path: Path,
) -> tuple[Any, SentencePieceProcessor]:
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path}: not a SentencePiece model: it is empty")
    try:
        proto = _PROTO.ModelProto.FromString(content)
        return proto, SentencePieceProcessor(model_proto=content)
    except Exception as err:
        # A file that is no model fails inside protobuf or SentencePiece.
        raise ValueError(f"{path}: not a SentencePiece model: {err}") from err


def _added_tokens(path: Path) -> dict[str, int]:
    tokens = read_settings(path)
    for token, number in tokens.items():
        if not token or not isinstance(number, int) or number < 0:
            raise ValueError(f"{path}: token {token!r} has id {number!r}: no number")
    return tokens
