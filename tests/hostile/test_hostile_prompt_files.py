"""A prompt file, whatever its bytes: the right prompt, or one error that names it."""

import dataclasses
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from amounts import examples
from hostile_input import (
    Trap,
    damage,
    edited,
    one_error,
    safetensors_bytes,
    wrong_values,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.prompts.file import load_prompt, load_start
from jaxprompt.prompts.provenance import Provenance

LENGTH, WIDTH = 2, 3
ROWS = np.arange(LENGTH * WIDTH, dtype=np.float32).reshape(LENGTH, WIDTH)
FIELDS = {
    "backbone": "google/t5",
    "revision": None,
    "fingerprint": "abc",
    "length": LENGTH,
    "width": WIDTH,
    "versions": {"jax": "0.10"},
}
TENSOR = {"dtype": "F32", "shape": [LENGTH, WIDTH], "data_offsets": [0, ROWS.nbytes]}


def make(fields=FIELDS, data: bytes = ROWS.tobytes(), **tensors) -> bytes:
    text = fields if isinstance(fields, str) else json.dumps(fields)
    entries = {"prompt": TENSOR, **tensors}
    return safetensors_bytes({"__metadata__": {"jaxprompt": text}, **entries}, data)


SOUND = make()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prompt.safetensors"


def read(path: Path, content: bytes):
    """Reads a file twice; returns the prompt's rows and its provenance, if sound."""
    path.write_bytes(content)
    one_error(lambda: load_start(path), path)
    found = one_error(lambda: load_prompt(path), path)
    if found is None:
        return None
    prompt, provenance = found
    rows = np.asarray(prompt.rows[0])
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert rows.shape == (provenance.length, provenance.width)
    check_types(provenance)
    return rows, provenance


def check_types(provenance: Provenance):
    assert {type(provenance.length), type(provenance.width), type(provenance.step)} == {
        int
    }
    assert type(provenance.seed) in (int, type(None))
    assert type(provenance.score) in (int, float, type(None))
    texts = [provenance.backbone, provenance.fingerprint, provenance.task]
    texts += [provenance.metric, provenance.init, provenance.config, provenance.source]
    texts += [provenance.revision or "", *provenance.versions.values()]
    assert all(text.encode() is not None for text in texts)


def test_the_sound_file_is_read(path: Path):
    rows, provenance = read(path, SOUND)
    np.testing.assert_array_equal(rows, ROWS)
    assert dataclasses.asdict(provenance).items() >= FIELDS.items()


@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=struct.pack("<Q", 2**63) + b"{}")
@example(content=struct.pack("<Q", 10**8) + b"{}")
@example(content=b'{"a":' + b"[" * 100_000)
@example(content=safetensors_bytes(b'{"a":' + b"[" * 100_000))
@example(content=b"PK\x03\x04" + bytes(100))
def test_any_bytes(path: Path, content: bytes):
    assert read(path, content) is None


@given(**damage)
@settings(max_examples=examples(200))
def test_a_damaged_file(path: Path, edits, cut, tail):
    content = edited(SOUND, edits, cut, tail)
    found = read(path, content)
    if content == SOUND:
        np.testing.assert_array_equal(found[0], ROWS)


@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
@example(bits=[0x7FC00000] * 6)  # Not a number.
@example(bits=[0, 0, 0, 0, 0, 0xFF800000])  # Minus infinity.
@example(bits=[1, 0x80000000, 0x7F7FFFFF, 0, 0, 0])  # The smallest and the largest.
def test_rows_come_back_bit_for_bit_or_are_not_finite(path: Path, bits: list[int]):
    rows = np.array(bits, np.uint32).view(np.float32).reshape(LENGTH, WIDTH)
    found = read(path, make(data=rows.tobytes()))
    assert (found is not None) == bool(np.isfinite(rows).all())
    if found is not None:
        assert found[0].tobytes() == rows.tobytes()


@given(
    changes=st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Provenance)]),
        wrong_values,
        min_size=1,
        max_size=3,
    )
)
@example(changes={"length": 2.0})
@example(changes={"config": 5})
@example(changes={"seed": "x"})
@example(changes={"seed": True})
@example(changes={"versions": [1]})
@example(changes={"versions": {"jax": 1}})
@example(changes={"task": "\ud800"})
@example(changes={"backbone": None})
@settings(max_examples=examples(150))
def test_a_header_of_wrong_values(path: Path, changes: dict):
    found = read(path, make({**FIELDS, **changes}))
    if found is not None:
        kept = dataclasses.asdict(found[1])
        for name, value in {**FIELDS, **changes}.items():
            # Only of NaN, a score that was not defined, a value is not itself.
            assert kept[name] == value or kept[name] != kept[name]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"length":' * 50_000,
        '{"length": ' + "1" * 5000 + "}",
        "\x00",
        "\ufeff{}",
        "NaN",
        '"text"',
    ],
    ids=["deep list", "deep object", "many digits", "NUL", "mark", "NaN", "text"],
)
def test_a_header_that_is_no_provenance(path: Path, text: str):
    assert read(path, make(text)) is None


shapes = st.lists(st.integers(0, 4), max_size=3)


@given(
    dtype=st.sampled_from(
        "F32 F64 F16 BF16 I8 U16 BOOL C64 F8_E4M3 F8_E5M2 F8_E8M0 F4 F6_E2M3 X".split()
    ),
    shape=shapes | st.lists(st.sampled_from([2**31, 2**63, -1]), max_size=3),
    size=st.integers(0, 64),
    name=st.sampled_from(["prompt", "start", "other", "", "a\nb"]),
)
@example(dtype="F8_E4M3", shape=[2, 3], size=6, name="prompt")
@example(dtype="F8_E5M2", shape=[2, 3], size=6, name="start")
@example(dtype="F4", shape=[2, 2], size=2, name="prompt")
@example(dtype="F32", shape=[2, 2], size=16, name="start")
@example(dtype="F32", shape=[0, 3], size=0, name="prompt")
@settings(max_examples=examples(150))
def test_a_tensor_of_another_kind(path: Path, dtype, shape, size, name):
    start = 0 if name == "prompt" else ROWS.nbytes
    other = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
    data = bytes(size) if name == "prompt" else ROWS.tobytes() + bytes(size)
    found = read(path, make(data=data, **{name: other}))
    if found is not None and name != "prompt":
        np.testing.assert_array_equal(found[0], ROWS)


def test_tensors_of_strange_names_are_told_in_a_line(path: Path):
    names = [f"{number}\n{'x' * 1000}" for number in range(100)]
    none = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    path.write_bytes(safetensors_bytes(dict.fromkeys(names, none)))
    assert one_error(lambda: load_prompt(path), path, "no jaxprompt header") is None


def test_a_pickle_is_never_run(path: Path, tmp_path: Path):
    trap = tmp_path / "trap"
    content = pickle.dumps(Trap(trap))
    assert read(path, content) is None
    assert read(path, safetensors_bytes({"__metadata__": {}}, content)) is None
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists(), "the trap must work, or it shows nothing"


@pytest.mark.parametrize("name", ["x" * 5000, "\0", "a/../" * 2000])
def test_a_name_that_no_file_can_have(name: str):
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        load_prompt(name)
