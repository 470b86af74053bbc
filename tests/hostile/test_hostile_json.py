"""Every small JSON file that is read, damaged in every way: one error that names it."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from amounts import examples
from hostile_input import one_error, safetensors_bytes, wrong_values
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_results import made_loss, made_member, made_result, made_vocabulary

from jaxprompt.bundled import resolve
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.files.json_file import LARGEST, read_json_object
from jaxprompt.interop import peft
from jaxprompt.models.load import find_checkpoint
from jaxprompt.prompts.file import load_prompt
from jaxprompt.report.plots.curves import read_curves
from jaxprompt.runs.keep.result_file import read_result_file
from jaxprompt.runs.keep.workdir import read_result
from jaxprompt.runs.measure.results import result_table
from jaxprompt.train import checksums
from jaxprompt.train.metrics import MetricLog

SOUND = b'{"files": {}, "step": 1}'

DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "cut": SOUND[:-5],
    "a tail": SOUND + b"}",
    "UTF-16": SOUND.decode().encode("utf-16"),
    "UTF-16 without a mark": SOUND.decode().encode("utf-16-le"),
    "UTF-32": SOUND.decode().encode("utf-32"),
    "Latin-1": '{"name": "caf\xe9"}'.encode("latin-1"),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + SOUND,
    "a deep list": b"[" * 100_000,
    "a deep object": b'{"a":' * 100_000,
    "a deep value": b'{"a":' + b"[" * 101 + b"]" * 101 + b"}",
    "a key twice": b'{"a": 1, "a": 2}',
    "NaN in a list": b'{"a": [NaN, }',
    "a number of many digits": b'{"a": ' + b"1" * 5000 + b"}",
    "a number too large": b'{"a": 1e999}',
    "half a character": b'{"a": "\\ud800"}',
    "a raw NUL": b'{"a": "\0"}',
    "an escape code": b'{"\x1b[31m": 1}',
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"5",
    "null": b"null",
    "a pickle": b"\x80\x04K\x01.",
}


class Reader(NamedTuple):
    """A place where the project reads JSON.

    Attributes:
        file: Name of the file.
        read: Reads it, in a folder that is otherwise sound.
    """

    file: str
    read: Callable[[Path], Any]


def _adapter(folder: Path) -> Any:
    tensor = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    weights = safetensors_bytes({peft.TENSOR: tensor}, bytes(24))
    (folder / peft.WEIGHTS).write_bytes(weights)
    return peft.read(folder)


def _beside_pieces(folder: Path, load: Callable[[Path], Any]) -> Any:
    shutil.copy(Path(resolve("bundled:nano")) / "spiece.model", folder)
    return load(folder / "spiece.model")


def _header(folder: Path) -> Any:
    text = (folder / "header").read_bytes().decode("latin-1")
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    content = {"__metadata__": {"jaxprompt": text}, "prompt": tensor}
    (folder / "p.safetensors").write_bytes(safetensors_bytes(content, bytes(4)))
    return load_prompt(folder / "p.safetensors")


def _index(folder: Path) -> Any:
    (folder / "config.json").write_text('{"model_type": "t5"}')
    return find_checkpoint(folder)


READERS = {
    reader.file + (f" ({kind})" if kind else ""): reader
    for kind, reader in (
        ("", Reader("config.json", find_checkpoint)),
        ("", Reader("model.safetensors.index.json", _index)),
        ("", Reader(peft.CONFIG, _adapter)),
        (
            "T5",
            Reader(
                "tokenizer_config.json",
                lambda folder: _beside_pieces(folder, load_vocabulary),
            ),
        ),
        (
            "causal",
            Reader(
                "tokenizer_config.json",
                lambda folder: _beside_pieces(
                    folder, functools.partial(load_vocabulary, causal=True)
                ),
            ),
        ),
        ("", Reader("tokenizer.json", load_vocabulary)),
        ("a run", Reader("result.json", lambda f: read_result(f, ""))),
        (
            "a page",
            Reader("result.json", lambda f: read_result_file(f / "result.json")),
        ),
        ("a page", Reader("metrics.jsonl", lambda f: read_curves(f / "metrics.jsonl"))),
        ("", Reader("header", _header)),
    )
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, reader: str, damage: str):
    file, read = READERS[reader]
    if (file, damage) == ("metrics.jsonl", "empty"):
        pytest.skip("a run that was killed at once has logged nothing")
    (tmp_path / file).write_bytes(DAMAGE[damage])
    named = "p.safetensors" if file == "header" else file
    assert one_error(lambda: read(tmp_path), named) is None


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checksums_are_damage(tmp_path: Path, damage: str):
    (tmp_path / "data").write_text("x")
    checksums.write_checksums(tmp_path)
    assert checksums.find_damage(tmp_path) is None
    (tmp_path / checksums.NAME).write_bytes(DAMAGE[damage])
    assert checksums.find_damage(tmp_path) == "sha256.json is not what was saved"


@pytest.mark.parametrize("damage", sorted(set(DAMAGE) - {"empty", "blank", "cut"}))
def test_a_resumed_run_names_a_damaged_line_of_its_log(tmp_path: Path, damage: str):
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b'{"step": 1, "loss": 2.0}\n' + DAMAGE[damage] + b"\n")
    message = f"{log}:2: not a JSON object with a step"
    assert one_error(lambda: MetricLog(tmp_path, 5), message) is None


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path):
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(100 * 2**30)
    plenty = f"{path} has {100 * 2**30:,} bytes, where {LARGEST:,} are plenty"
    assert one_error(lambda: find_checkpoint(tmp_path), plenty) is None


def test_a_folder_of_the_name_is_no_file(tmp_path: Path):
    (tmp_path / "config.json").mkdir()
    assert (
        one_error(lambda: find_checkpoint(tmp_path), "config.json is no file") is None
    )


def test_a_byte_order_mark_is_no_damage(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}')
    assert read_json_object(path, "") == {"a": "\U0001f600"}


@given(content=st.binary(max_size=60))
@settings(max_examples=examples(200))
def test_any_bytes(tmp_path: Path, content: bytes):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    found = one_error(lambda: read_json_object(path, "fetch it again"), path)
    if found is not None:
        assert found == json.loads(content)


RESULTS = {
    "a prompt": made_result(made_member(), hand_written=20.0),
    "a bank": made_result(made_member(), made_member("cb", 1), made_member("cb", 2)),
    "a shift": made_result(
        made_member(
            shift={
                "mrpc": {
                    "metric": "f1",
                    "majority": 60.0,
                    "examples": 5,
                    "score": 55.5,
                    "illegal": 0.0,
                }
            }
        )
    ),
    "a loss": made_loss(),
    "a vocabulary": made_vocabulary(),
}


def places(value: Any) -> list[tuple[Any, ...]]:
    """Lists the way to every value within a value."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [(), *((key, *rest) for key, x in inner for rest in places(x))]


def put(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    key, *rest = place
    if isinstance(value, list):
        return [
            put(x, tuple(rest), other) if n == key else x for n, x in enumerate(value)
        ]
    return {**value, key: put(value[key], tuple(rest), other)}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_sound_result_is_shown(tmp_path: Path, result: dict):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    assert result_table(read_result_file(path))


@st.composite
def damaged_results(draw) -> Any:
    result = RESULTS[draw(st.sampled_from(sorted(RESULTS)))]
    return put(result, draw(st.sampled_from(places(result))), draw(wrong_values))


@given(result=damaged_results())
@example({})
@example({"metric": "loss"})
@example({"trains": "vocabulary"})
@example({"members": []})
@example({"members": [3]})
@example({**RESULTS["a loss"], "objectives": []})
@example({**RESULTS["a bank"], "votes": {}})
@example({**RESULTS["a prompt"], "seconds": "9"})
@example({**RESULTS["a prompt"], "shift": []})
@example({**RESULTS["a prompt"], "metrics": {"f1": None}})
@example(put(RESULTS["a bank"], ("members", 2, "score"), 2e154))
@example(put(RESULTS["a bank"], ("members", 2, "score"), float("inf")))
@settings(max_examples=examples(300))
def test_a_result_of_wrong_values_is_shown_or_named(tmp_path: Path, result: Any):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    found = one_error(lambda: read_result_file(path), path)
    if found is not None:
        assert result_table(found)


T5 = {
    "model_type": "t5",
    "vocab_size": 8,
    "d_model": 4,
    "num_heads": 2,
    "d_kv": 2,
    "d_ff": 8,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "relative_attention_num_buckets": 4,
    "relative_attention_max_distance": 8,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "dense_act_fn": "gelu_new",
    "is_gated_act": True,
    "tie_word_embeddings": True,
    "scale_decoder_outputs": True,
}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 8,
    "n_embd": 4,
    "n_head": 2,
    "n_layer": 1,
    "n_positions": 8,
    "n_inner": 8,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 8,
    "hidden_size": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 8,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "tie_word_embeddings": True,
    "attention_bias": False,
    "eos_token_id": [1, 2],
}


@given(
    sound=st.sampled_from([T5, GPT2, LLAMA]),
    changes=st.dictionaries(
        st.sampled_from(sorted({**T5, **GPT2, **LLAMA})),
        wrong_values.filter(lambda x: not isinstance(x, int) or abs(x) < 100),
        max_size=2,
    ),
)
@example(T5, {"feed_forward_proj": ["relu"]})
@example(T5, {"dense_act_fn": ["relu"]})
@example(T5, {"num_layers": "12"})
@example(T5, {"model_type": ["t5"]})
@example(T5, {"vocab_size": 0})
@example(GPT2, {"activation_function": {}})
@example(GPT2, {"n_inner": "8"})
@example(GPT2, {"layer_norm_epsilon": [1]})
@example(LLAMA, {"rope_scaling": {"rope_type": ["linear"]}})
@example(LLAMA, {"rope_scaling": {"rope_type": "yarn", "factor": "4"}})
@example(LLAMA, {"hidden_act": {}})
@example(LLAMA, {"eos_token_id": {}})
@example(LLAMA, {"num_key_value_heads": "1"})
@example(LLAMA, {"rope_theta": [1]})
@settings(max_examples=examples(40))
def test_a_config_of_wrong_values(tmp_path: Path, sound: dict, changes: dict):
    """Whatever it says, the weights beside it are those of no such model."""
    (tmp_path / "config.json").write_text(json.dumps({**sound, **changes}))
    weights = safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        np.zeros(1, np.float32).tobytes(),
    )
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert one_error(lambda: find_checkpoint(tmp_path), tmp_path) is None
