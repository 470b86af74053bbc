"""The vocabulary inside a GGUF file: the same ids as the tokenizer it was made of."""

import io
from pathlib import Path

import pytest
from gguf_files import (
    add_byte_pairs,
    add_sentencepiece,
    awkward_strings,
    finish,
    start_file,
)
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers.models import BPE

from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

STRINGS = awkward_strings()
CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# What the tokenizer.json of each model family says.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _by(expression: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(expression), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, bytes_])


_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
_SPLITS = {
    "llama-bpe": _by(LLAMA3),
    "qwen2": _by(QWEN2),
    "tekken": _by(TEKKEN),
    "gpt-2": _GPT2,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(True), _GPT2]),
}


def _train(pre: str) -> Tokenizer:
    tokenizer = Tokenizer(BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
    tokenizer.pre_tokenizer = _SPLITS[pre]
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=CONTROLS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*STRINGS, "It's 2024 and 1999, isn't it?"], trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return tokenizer


@pytest.mark.parametrize("pre", _SPLITS)
def test_awkward_strings_have_the_ids_of_tokenizer_json(pre: str, tmp_path: Path):
    tokenizer = _train(pre)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    writer = start_file(tmp_path / "model.gguf")
    add_byte_pairs(writer, tokenizer, pre)
    writer.add_eos_token_id(2)
    finish(writer)
    theirs = load_vocabulary(tmp_path / "tokenizer.json", causal=True)
    ours = load_vocabulary(tmp_path / "model.gguf", causal=True)
    texts = [*STRINGS, "a<|im_end|>b<think>\n", "<|im_start|>user\n1 2<|im_end|>"]
    assert ours.encode_all(texts) == theirs.encode_all(texts)
    assert ours.vocab_size == theirs.vocab_size
    assert ours.eos_id == 2
    # A special token within a text is read, so it is written too.
    amid = "a<|im_start|>b<think>"
    assert ours.decode(ours.encode(amid)) == theirs.decode(theirs.encode(amid)) == amid
    composed = normalizers.NFC().normalize_str if pre == "qwen2" else str
    for text in STRINGS:
        assert ours.decode(ours.encode(text)) == composed(text)


@pytest.mark.parametrize("leading", [True, False])
def test_awkward_strings_have_the_ids_of_sentencepiece(leading: bool, tmp_path: Path):
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([x for x in STRINGS if "\0" not in x and x.strip()]),
        model_writer=content,
        model_type="bpe",
        vocab_size=600,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=leading,
        minloglevel=2,
    )
    model = SentencePieceProcessor(model_proto=content.getvalue())
    # Gemma's is the vocabulary of this kind without a leading space.
    writer = start_file(tmp_path / "model.gguf", "llama" if leading else "gemma3")
    add_sentencepiece(writer, model)
    writer.add_add_space_prefix(leading)
    finish(writer)
    ours = load_vocabulary(tmp_path / "model.gguf", causal=True)
    for text in STRINGS:
        expected = model.encode(text)
        assert ours.encode(text) == expected, repr(text)
        assert ours.decode(expected) == text


@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_special_tokens_of_phi_3_take_the_space_behind_them(
    architecture: str, tmp_path: Path
):
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["Hi go", "go Hi"] * 9),
        model_writer=content,
        model_type="bpe",
        vocab_size=280,
        byte_fallback=True,
        hard_vocab_limit=False,
        control_symbols=["<|user|>", "<|end|>"],
        minloglevel=2,
    )
    model = SentencePieceProcessor(model_proto=content.getvalue())
    writer = start_file(tmp_path / "model.gguf", architecture)
    add_sentencepiece(writer, model)
    writer.add_add_space_prefix(True)
    finish(writer)
    ours = load_vocabulary(tmp_path / "model.gguf", causal=True)
    user, end = map(model.piece_to_id, ("<|user|>", "<|end|>"))
    words = ours.encode("Hi")
    found = ours.encode("<|user|>\nHi<|end|>\n")
    assert (found[0], end in found) == (user, True)
    assert (found == [user, *words, end]) == (architecture == "phi3")
