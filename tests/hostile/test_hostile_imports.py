"""Other programs' files, whatever they hold: prompts, or one error naming the file."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from amounts import examples
from hostile_input import (
    LONG,
    Trap,
    damage,
    edited,
    one_error,
    safetensors_bytes,
    wrong_values,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.interop import cartridge, google, peft, t5x, tensorrt_llm, vllm
from jaxprompt.interop.arrays import npy_bytes

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
NPY = npy_bytes(ROWS)
TABLE = npy_bytes(ROWS[None])
TENSOR = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
CONFIG = {
    "peft_type": "PROMPT_TUNING",
    "task_type": "SEQ_2_SEQ_LM",
    "num_virtual_tokens": 2,
    "token_dim": 3,
    "base_model_name_or_path": "google/t5",
}


def taken(read, path: Path):
    """Reads another program's file; returns the rows of its prompts, if sound."""
    found = one_error(lambda: read(path), path)
    if found is None:
        return None
    found.backbone.encode()
    rows = [np.asarray(prompt.rows[0]) for prompt in found.prompts]
    for array in rows:
        assert array.dtype == np.float32
        assert array.ndim == 2
        assert np.isfinite(array).all()
    return rows


def of_file(read, path: Path, content: bytes):
    path.write_bytes(content)
    return taken(read, path)


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """Returns an .npy file that begins with this header."""
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text.encode("latin-1")


@given(content=st.binary(max_size=100))
@example(content=b"")
@example(content=pickle.dumps([1, 2]))
@example(content=b"PK\x03\x04" + bytes(60))
@example(content=b"PK\x05\x06" + bytes(18))
@example(content=header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"))
@example(header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12, 9)}"))
@example(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**12},)}}"))
@example(header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"N.")
@example(content=header("(" * 5000))
@example(content=header("[" * 60_000, b"\x02\x00"))
@example(content=header("__import__('os')"))
def test_any_bytes_as_an_array(tmp_path: Path, content: bytes):
    path = tmp_path / "prompt.npy"
    assert of_file(google.read, path, content) is None
    assert of_file(tensorrt_llm.read, path, content) is None
    assert of_file(vllm.read, path, content) is None
    assert of_file(cartridge.read, path, content) is None


@given(**damage)
@settings(max_examples=examples(100))
def test_a_damaged_array(tmp_path: Path, edits, cut, tail):
    path = tmp_path / "prompt.npy"
    found = of_file(google.read, path, edited(NPY, edits, cut, tail))
    if (edits, cut, tail) == ([], None, b""):
        np.testing.assert_array_equal(found[0], ROWS)
    of_file(tensorrt_llm.read, path, edited(TABLE, edits, cut, tail))


dtypes = st.sampled_from("<f4 >f4 <f2 <f8 <c8 i1 <i8 ?  S3 <U2 <M8[s] V4".split())


@given(
    dtype=dtypes,
    shape=st.lists(st.integers(0, 3), max_size=4),
    data=st.binary(min_size=1, max_size=16),
)
@example(dtype="<f4", shape=[2, 3], data=b"\0\0\xc0\x7f")  # Not a number.
@example(dtype="<f2", shape=[1, 2, 3], data=b"\x01\x7d")  # A signalling one.
@example(dtype="<f4", shape=[2, 0], data=b"x")
@example(dtype="<f4", shape=[1, 2, 2], data=b"\0")  # A task of zeros.
def test_arrays_of_any_kind(tmp_path: Path, dtype, shape, data):
    array = np.frombuffer(
        (data * 999)[: np.dtype(dtype).itemsize * int(np.prod(shape))], dtype
    ).reshape(shape)
    path = tmp_path / "prompt.npy"
    found = of_file(google.read, path, npy_bytes(array))
    if found is not None:
        assert found[0].tobytes() == array.tobytes()
    of_file(tensorrt_llm.read, path, npy_bytes(array))


def test_no_pickle_is_run(tmp_path: Path):
    trap = tmp_path / "trap"
    content = pickle.dumps(Trap(trap))
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([Trap(trap)], object), allow_pickle=True)
    several = tmp_path / "several.npz"
    np.savez(several, a=np.array([Trap(trap)], object))
    for name in (objects, several):
        assert taken(google.read, name) is None
        assert taken(tensorrt_llm.read, name) is None
    path = tmp_path / "prompt"
    for read in (google.read, tensorrt_llm.read, vllm.read):
        assert of_file(read, path, content) is None
    folder = adapter(tmp_path)
    (folder / peft.WEIGHTS).unlink()
    (folder / peft.PICKLE).write_bytes(content)
    assert taken(peft.read, folder) is None
    step = tmp_path / "checkpoint_1"
    step.mkdir()
    (step / "checkpoint").write_bytes(content)
    assert taken(t5x.read, step) is None
    assert not trap.exists()


def adapter(folder: Path, config=CONFIG, weights: bytes | None = None) -> Path:
    folder = folder / "adapter"
    folder.mkdir(exist_ok=True)
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    (folder / peft.CONFIG).write_bytes(text)
    sound = safetensors_bytes({peft.TENSOR: TENSOR}, ROWS.tobytes())
    (folder / peft.WEIGHTS).write_bytes(sound if weights is None else weights)
    return folder


@given(
    changes=st.dictionaries(
        st.sampled_from([*CONFIG, "modules_to_save"]), wrong_values, max_size=2
    )
)
@example(changes={})
@example(changes={"num_virtual_tokens": True})
@example(changes={"num_virtual_tokens": 10**30})
@example(changes={"token_dim": [3]})
@example(changes={"peft_type": LONG})
@example(changes={"peft_type": "a\nb"})
@example(changes={"task_type": {}})
@example(changes={"modules_to_save": [LONG]})
@example(changes={"base_model_name_or_path": ["google/t5"]})
@example(changes={"base_model_name_or_path": "\ud800"})
@settings(max_examples=examples(150))
def test_an_adapter_of_wrong_values(tmp_path: Path, changes: dict):
    found = taken(peft.read, adapter(tmp_path, {**CONFIG, **changes}))
    if not changes:
        np.testing.assert_array_equal(found[0], ROWS)


@given(config=st.binary(max_size=40))
@example(config=b"[" * 100_000)
@example(config=b'{"a":' * 50_000)
@example(config=b'{"num_virtual_tokens": ' + b"1" * 5000 + b"}")
@example(config=json.dumps(CONFIG).encode("utf-16"))
def test_an_adapter_of_any_bytes(tmp_path: Path, config: bytes):
    assert taken(peft.read, adapter(tmp_path, config)) is None


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path: Path):
    marked = b"\xef\xbb\xbf" + json.dumps(CONFIG).encode()
    np.testing.assert_array_equal(taken(peft.read, adapter(tmp_path, marked))[0], ROWS)


@given(
    names=st.lists(
        st.sampled_from([peft.TENSOR, vllm.TENSOR, "", "a\nb", LONG, "\u2028"]),
        unique=True,
        max_size=3,
    ),
    dtype=st.sampled_from("F32 F16 BF16 F64 I8 F8_E4M3 F8_E5M2 F4 BOOL".split()),
    shape=st.lists(st.integers(0, 3), max_size=4),
)
@example(names=[peft.TENSOR], dtype="F8_E4M3", shape=[2, 3])
@example(names=[vllm.TENSOR], dtype="F8_E5M2", shape=[2, 3])
@example(names=[vllm.TENSOR], dtype="F32", shape=[1, 2, 3])
@example(names=[], dtype="F32", shape=[])
@settings(max_examples=examples(100))
def test_tensors_of_any_kind(tmp_path: Path, names, dtype, shape):
    bits = {"F64": 64, "F16": 16, "BF16": 16, "F32": 32, "F4": 4}.get(dtype, 8)
    size = int(np.prod(shape)) * bits // 8
    tensors = {
        name: {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [place * size, (place + 1) * size],
        }
        for place, name in enumerate(names)
    }
    weights = safetensors_bytes(tensors, bytes(size * len(names)))
    taken(peft.read, adapter(tmp_path, weights=weights))
    of_file(vllm.read, tmp_path / "prompt.safetensors", weights)


@given(**damage)
def test_a_damaged_adapter(tmp_path: Path, edits, cut, tail):
    sound = safetensors_bytes({peft.TENSOR: TENSOR}, ROWS.tobytes())
    weights = edited(sound, edits, cut, tail)
    taken(peft.read, adapter(tmp_path, weights=weights))


@given(content=st.binary(max_size=60))
@example(content=b"\x81\xa9optimizer\x81\xa6target\x90")
@example(content=b"\x81\xa9optimizer\x81\xa6target\x05")
@example(content=b"\x81\xa9optimizer\x81\xa6target\x80")
@example(content=b"\x81\xa9optimizer\x81\xa6target\x81\x05\x06")
@example(content=b"\x91" * 5000)
def test_a_t5x_index_of_any_bytes(tmp_path: Path, content: bytes):
    (tmp_path / "checkpoint").write_bytes(content)
    assert taken(t5x.read, tmp_path) is None


@pytest.mark.parametrize(
    "module", [cartridge, google, tensorrt_llm, vllm, peft], ids=lambda x: x.__name__
)
@pytest.mark.parametrize("name", ["x" * 5000, "\0", "."])
def test_a_name_that_no_file_can_have(module, name: str):
    assert one_error(lambda: module.read(Path(name))) is None
