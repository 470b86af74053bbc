"""The model's own tokenizer counts: the ids and the texts are AutoTokenizer's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from tokenizers import decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from jaxprompt.data.vocabulary.model_tokenizer import read_tokenizer
from jaxprompt.data.vocabulary.pieces import Pieces
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.files import file_cache

ADDED = ["<new>", "[card]"]
AWKWARD = [
    "a kettle sings on the stove",
    "film<extra_id_0>rain",
    "(<extra_id_0>) [<extra_id_1>].",
    "<extra_id_0> <extra_id_1><extra_id_2>",
    "film<new>rain",
    "[card](<new>)  [card]",
    "<NEW> [ card ]",
    "  two  spaces  ",
    " leading",
    "trailing ",
    "",
    " ",
    "a\nb",
    "a\n\n b\n",
    "a\tb",
    "caf\u00e9 cafe\u0301",
    "\U0001f642 rain \U0001f469\u200d\U0001f373",
    "\u0645\u0631\u062d\u0628\u0627 film \u05e9\u05dc\u05d5\u05dd",
    "\u200fx\u200by\u00a0z",
    "\u65e5\u672c\u8a9e",
    "a < b {x} \u00bd",
    "<unk> film",
    "\x00 film",
]
KINDS = ["t5", "mt5", "flan", "gpt2"]


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), "utf-8")


def write_added(folder: Path, size: int, added: list[str]) -> None:
    tokens = {token: size + place for place, token in enumerate(added)}
    write_json(folder / "added_tokens.json", tokens)


def make_t5(folder: Path, spiece: Path, added: list[str]) -> None:
    """As T5 is published: spiece.model and tokenizer.json."""
    shutil.copy(spiece, folder)
    write_json(folder / "config.json", {"model_type": "t5"})
    tokenizer = transformers.T5Tokenizer.from_pretrained(str(folder))
    tokenizer.add_tokens(added)
    tokenizer.save_pretrained(str(folder))


def make_flan(folder: Path, spiece: Path, added: list[str]) -> None:
    """As Flan is: special_tokens_map.json too, and the class of an older version."""
    make_t5(folder, spiece, added)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "T5TokenizerFast"
    write_json(folder / "tokenizer_config.json", settings)
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "special_tokens_map.json", names)
    (folder / "spiece.model").unlink()


def make_mt5(folder: Path, spiece: Path, added: list[str]) -> None:
    """As mT5 is: spiece.model alone with its settings, and no sentinels behind it."""
    shutil.copy(spiece, folder)
    write_json(folder / "config.json", {"model_type": "mt5"})
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "eos_token": "</s>"}
    write_json(folder / "tokenizer_config.json", settings)
    if added:
        write_added(folder, load_vocabulary(spiece, extra_ids=0).vocab_size, added)


def make_gpt2(folder: Path, _: Path, added: list[str]) -> None:
    """As GPT-2 was published first: vocab.json and merges.txt."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["a kettle sings on the stove, film rain"] * 20,
        vocab_size=290,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.save_model(str(folder))
    write_json(folder / "config.json", {"model_type": "gpt2"})
    if added:
        size = tokenizer.get_vocab_size()
        write_added(folder, size, added)


MAKERS = {"t5": make_t5, "mt5": make_mt5, "flan": make_flan, "gpt2": make_gpt2}


def check_agrees(folder: Path, *, causal: bool, texts: list[str] = AWKWARD) -> Any:
    vocabulary = load_vocabulary(folder, causal=causal)
    theirs: Any = transformers.AutoTokenizer.from_pretrained(str(folder))
    assert vocabulary.vocab_size == len(theirs)
    assert vocabulary.eos_id == theirs.eos_token_id
    for text in texts:
        ids = theirs.encode(text, add_special_tokens=False)
        found = list(vocabulary.encode(text))
        assert found == ids, text
        assert vocabulary.decode(found) == theirs.decode(ids), text
    return vocabulary


@pytest.mark.parametrize("added", [[], ADDED], ids=["plain", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_texts_are_cut_and_written_as_by_autotokenizer(
    kind: str, added: list[str], spiece: Path, tmp_path: Path
):
    MAKERS[kind](tmp_path, spiece, added)
    vocabulary = check_agrees(tmp_path, causal=kind == "gpt2")
    for token in added:
        # Between letters too, a token that was added is one id.
        ids = vocabulary.encode(f"film{token}rain")
        assert vocabulary.vocab_size - len(added) <= max(ids)
        assert vocabulary.decode([max(ids)]) == token


def test_of_other_decoders_a_tokenizer_json_is_read_as_it_is(tmp_path: Path):
    """GPT-2's own class would not make letters small."""
    tokenizer = tokenizers.ByteLevelBPETokenizer(lowercase=True)
    tokenizer.train_from_iterator(
        ["a kettle sings on the stove, film rain"] * 20,
        vocab_size=290,
        special_tokens=["<|end_of_text|>"],
        show_progress=False,
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    vocabulary = load_vocabulary(tmp_path, causal=True)
    text = "A Kettle SINGS"
    expected = tokenizer.encode(text).ids
    assert vocabulary.encode(text) == expected
    assert vocabulary.eos_id == tokenizer.token_to_id("<|end_of_text|>")


@pytest.mark.parametrize(
    ("model_type", "named"),
    [
        ("llama", "LlamaTokenizerFast"),  # DeepSeek-R1-Distill-Llama.
        ("llama", "GPT2Tokenizer"),  # SmolLM2.
        ("qwen2", "LlamaTokenizerFast"),  # DeepSeek-R1-Distill-Qwen.
        ("qwen3", "Qwen2Tokenizer"),
        ("mistral", "LlamaTokenizer"),
        ("olmo2", "GPT2Tokenizer"),
        ("phi3", "GPT2Tokenizer"),  # Phi-4.
        ("phi3", "LlamaTokenizer"),
        ("smollm3", "PreTrainedTokenizerFast"),
    ],
)
def test_a_class_that_is_named_wrong_changes_no_token(
    model_type: str, named: str, tmp_path: Path
):
    text = "In 20245 it's\n\nGREAT('1234567')  film"
    tokenizer = tokenizers.Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(r"\p{N}{1,3}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [text, "1234567 20245 202 45 2024"] * 5,
        BpeTrainer(
            vocab_size=330,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": named, "eos_token": "<|endoftext|>"}
    write_json(tmp_path / "tokenizer_config.json", settings)
    write_json(tmp_path / "config.json", {"model_type": model_type})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs(text, add_special_tokens=False)["input_ids"]
    vocabulary = load_vocabulary(tmp_path, causal=True)
    assert vocabulary.encode(text) == expected
    assert vocabulary.decode(expected) == text


@pytest.mark.parametrize("folder", ["vocab/t5", "vocab/gpt2", "nano"])
def test_published_tokenizers_agree(folder: str, shared: Path, tmp_path: Path):
    nano = folder == "nano"
    source = shared / ("backbones/t5-nano-lm-adapt" if nano else f"data/{folder}")
    for file in source.iterdir():
        if file.suffix in (".json", ".model") and file.name != "encoder.json":
            shutil.copy(file, tmp_path)
    causal = folder == "vocab/gpt2"
    write_json(tmp_path / "config.json", {"model_type": "gpt2" if causal else "t5"})
    rows = (shared / "data/glue/SST-2/dev.tsv").read_text("utf-8").splitlines()[1:200]
    check_agrees(tmp_path, causal=causal, texts=[*AWKWARD, *rows])


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_what_a_tokenizer_json_was_last_used_for_changes_nothing(
    kind: str, spiece: Path, tmp_path: Path
):
    (tmp_path / "plain").mkdir()
    (tmp_path / "used").mkdir()
    causal = kind == "gpt2"
    MAKERS[kind](tmp_path / "plain", spiece, ADDED)
    MAKERS[kind](tmp_path / "used", spiece, ADDED)
    path = tmp_path / "used" / "tokenizer.json"
    if not path.is_file():
        transformers.GPT2Tokenizer.from_pretrained(str(path.parent)).save_pretrained(
            str(path.parent)
        )
    used = tokenizers.Tokenizer.from_file(str(path))
    used.enable_truncation(max_length=3)
    used.enable_padding(length=8, pad_id=0, pad_token="<pad>")
    used.post_processor = tokenizers.processors.TemplateProcessing(
        single="[card] $A [card]", special_tokens=[("[card]", 5)]
    )
    used.save(str(path))
    plain = load_vocabulary(tmp_path / "plain", causal=causal)
    found = load_vocabulary(tmp_path / "used", causal=causal)
    alone = shutil.copy(path, tmp_path / "alone.json")
    by_itself = load_vocabulary(alone, causal=causal)
    for text in ("rain", "a kettle sings on the stove and nobody minds the rain"):
        ids = list(plain.encode(text))
        assert list(found.encode(text)) == ids
        assert list(by_itself.encode(text)) == ids


def test_byte_pair_dropout_of_training_is_off(tmp_path: Path):
    vocabulary = {"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3}
    model = tokenizers.models.BPE(vocabulary, [("a", "b")], dropout=0.9)
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    pieces = load_vocabulary(tmp_path, causal=True)
    assert {tuple(pieces.encode("ab")) for _ in range(20)} == {(3,)}


def test_pytorch_stays_away(spiece: Path, tmp_path: Path):
    make_t5(tmp_path, spiece, ADDED)
    code = (
        "import sys\n"
        "from jaxprompt.data.vocabulary.vocabulary import load_vocabulary\n"
        "assert 'transformers' not in sys.modules\n"
        f"print(load_vocabulary({str(tmp_path)!r}).encode('rain')[0] > 0)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"
    assert "PyTorch" not in done.stderr


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tokenizers are kept, in a cache that takes files as new as a test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_cache, "_SETTLED_SECONDS", -60.0)
    return tmp_path / "cache" / "jaxprompt" / "tokenizers"


def make(kind: str, folder: Path, spiece: Path, added: list[str]) -> Path:
    """Makes a tokenizer; returns the file that it is read by."""
    folder.mkdir()
    MAKERS[kind](folder, spiece, added)
    names = {"t5": "tokenizer.json", "mt5": "spiece.model", "gpt2": "vocab.json"}
    return folder / names.get(kind, "tokenizer.json")


def told(pieces: Pieces) -> list[Any]:
    """Returns all that a tokenizer says of awkward texts, and of itself."""
    ids = pieces.encode(AWKWARD)
    assert pieces.locate is not None
    assert pieces.tokenizer_json is not None
    return [
        ids,
        pieces.locate(AWKWARD),
        list(map(pieces.decode, ids)),
        list(map(pieces.name, range(pieces.size))),
        (pieces.size, pieces.end, pieces.unknown, pieces.turn_ends, pieces.frame),
        pieces.tokenizer_json(),
    ]


@pytest.mark.parametrize("added", [[], ADDED], ids=["plain", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_is_the_same_when_it_is_read_from_the_cache(
    kind: str, added: list[str], spiece: Path, tmp_path: Path, kept: Path
):
    path = make(kind, tmp_path / kind, spiece, added)
    causal = kind == "gpt2"
    first = told(read_tokenizer(path, causal=causal))
    (file,) = kept.iterdir()
    assert file.stat().st_size > 100  # It could be written.
    assert told(read_tokenizer(path, causal=causal)) == first


def test_what_transformers_makes_of_decoded_texts_is_made_of_those_from_the_cache(
    spiece: Path, tmp_path: Path, kept: Path
):
    path = make("t5", tmp_path / "t5", spiece, [])
    settings = json.loads(path.with_name("tokenizer_config.json").read_text())
    settings["clean_up_tokenization_spaces"] = True
    write_json(path.with_name("tokenizer_config.json"), settings)
    for _ in range(2):
        pieces = read_tokenizer(path, causal=False)
        assert pieces.decode(pieces.encode(["a stove ,"])[0]) == "a stove,"
    assert len(list(kept.iterdir())) == 1


def test_of_a_tokenizer_that_was_read_before_transformers_is_not_imported(
    spiece: Path, tmp_path: Path, kept: Path
):
    path = make("t5", tmp_path / "t5", spiece, ADDED)
    ids = load_vocabulary(path).encode("a [card]")
    code = (
        "import sys\n"
        "from jaxprompt.data.vocabulary.vocabulary import load_vocabulary\n"
        f"print(load_vocabulary({str(path)!r}).encode('a [card]'))\n"
        "assert 'transformers' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{ids}\n", "")


def test_a_tokenizer_that_changed_is_read_again(
    spiece: Path, tmp_path: Path, kept: Path
):
    """Each file of its folder counts, one that was not there before too."""
    path = make("gpt2", tmp_path / "gpt2", spiece, [])
    before = read_tokenizer(path, causal=True)
    assert len(before.encode(["<new>"])[0]) > 1
    write_added(path.parent, before.size, ADDED)
    assert len(read_tokenizer(path, causal=True).encode(["<new>"])[0]) == 1
    (path.parent / "added_tokens.json").unlink()
    assert told(read_tokenizer(path, causal=True)) == told(before)
    assert len(list(kept.iterdir())) == 2


def test_a_class_of_the_file_that_is_no_tokenizer_is_not_called(
    spiece: Path, tmp_path: Path
):
    make_t5(tmp_path, spiece, [])
    ids = load_vocabulary(tmp_path).encode("a kettle")
    again = tmp_path / "again"
    shutil.copytree(tmp_path, again, ignore=shutil.ignore_patterns("again"))
    write_json(again / "tokenizer_config.json", {"tokenizer_class": "T5Model"})
    assert load_vocabulary(again).encode("a kettle") == ids


def test_a_folder_that_transformers_cannot_read_is_named(tmp_path: Path):
    write_json(tmp_path / "tokenizer_config.json", ["no object"])
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json"):
        load_vocabulary(tmp_path)
