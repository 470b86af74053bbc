"""Trains a vocabulary: a SentencePiece unigram model with the ids of T5, or rinna's."""

import io
import json
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from jaxprompt.data.read.text import Passage
from jaxprompt.files.atomic import write_atomically

_NUM_THREADS = 4
"""Fixed: SentencePiece adds up counts thread by thread, and floats round."""


_SPECIAL_IDS: dict[str, dict[str, Any]] = {
    "t5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    # [PAD] is a control piece, 3, for SentencePiece itself does not pad with it.
    "rinna": {
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": -1,
        "control_symbols": ["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
    },
}

LAYOUTS = tuple(_SPECIAL_IDS)
"""Where special ids are. "t5": padding 0, end-of-sequence 1, unknown 2. "rinna", for a
decoder-only model: unknown 0, <s> 1, end-of-sequence 2, [PAD] 3, [CLS] 4, [SEP] 5,
[MASK] 6.

Source: the released vocabularies of T5 and of rinna/japanese-gpt2-medium.
"""


def train_vocabulary(
    passages: Sequence[Passage],
    *,
    pieces: int,
    character_coverage: float = 0.9998,
    layout: str = "t5",
    leading_space: bool = True,
) -> bytes:
    """Trains a SentencePiece unigram model; the same passages give the same bytes.

    Args:
        passages: What to train on.
        pieces: Pieces V, the special ones included.
        character_coverage: Share of the characters that get a piece of their own, the
            most frequent ones first; printable ASCII always does.
        layout: One of `LAYOUTS`.
        leading_space: Whether a text is encoded as with a space before it.

    Returns:
        The content of a spiece.model.

    Raises:
        ValueError: If SentencePiece cannot make so many pieces of this text, or so few,
            or a setting is unknown or out of range.

    Source: unigram and NFKC as in Raffel et al. 2020, sec. 2.3
    (arXiv:1910.10683), and its released vocabulary.
    """
    if not 0 < character_coverage <= 1:
        raise ValueError(
            f"character_coverage {character_coverage}: use a share above 0, up to 1"
        )
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}: use one of {list(LAYOUTS)}")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(" ".join(passage) for passage in passages),
            model_writer=model,
            model_type="unigram",
            vocab_size=pieces,
            character_coverage=character_coverage,
            required_chars=string.ascii_letters + string.digits + string.punctuation,
            normalization_rule_name="nmt_nfkc",
            add_dummy_prefix=leading_space,
            **_SPECIAL_IDS[layout],
            # A passage is never longer.
            max_sentence_length=2**20,
            num_threads=_NUM_THREADS,
            minloglevel=2,
        )
    except RuntimeError as err:
        raise ValueError(
            f"no vocabulary of {pieces} pieces from {len(passages)} passages: "
            f"{_reason(err)}"
        ) from err
    return model.getvalue()


def write_vocabulary(
    folder: Path, model: bytes, sentinels: int, layout: str = "t5"
) -> Path:
    """Writes spiece.model, and the tokenizer_config.json that counts its sentinels.

    Args:
        folder: Where; it must exist. Files that are there are replaced.
        model: From `train_vocabulary`.
        sentinels: Ids <extra_id_0>, ... behind the pieces, the last one first.
        layout: As it was trained with.

    Returns:
        The path of spiece.model.
    """
    config = {
        "extra_ids": sentinels,
        "tokenizer_class": "T5Tokenizer",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "additional_special_tokens": [f"<extra_id_{i}>" for i in range(sentinels)],
    }
    if layout == "rinna":
        names = ("pad", "cls", "sep", "mask")
        config |= {f"{name}_token": f"[{name.upper()}]" for name in names}
        config["bos_token"] = "<s>"
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(folder / "tokenizer_config.json", text.encode())
    path = folder / "spiece.model"
    write_atomically(path, model)
    return path


def tokens_per_word(model: bytes, passages: Iterable[Passage]) -> tuple[float, float]:
    """Measures how finely a vocabulary cuts text.

    Args:
        model: From `train_vocabulary`.
        passages: Text that it was not trained on.

    Returns:
        Tokens for each word that spaces part, and the share of tokens that are
        unknown.
    """
    vocabulary = sentencepiece.SentencePieceProcessor(model_proto=model)
    words = tokens = unknown = 0
    for passage in passages:
        text = " ".join(passage)
        ids = vocabulary.encode(text)
        words += text.count(" ") + 1
        tokens += len(ids)
        unknown += ids.count(vocabulary.unk_id())
    return tokens / words, unknown / tokens


def _reason(err: RuntimeError) -> str:
    """SentencePiece puts the place in its source before what is wrong."""
    return str(err).split("] ")[-1].strip() or "SentencePiece gave no reason"
