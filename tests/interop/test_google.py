"""Prompts of google-research/prompt-tuning come and go unchanged, and only these."""

import pickle
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from tiny import draw_prompt

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.prompts.prompt import Prompt

GOOGLE = find_form("google")


def read_prompt(path: Path) -> Prompt:
    (prompt,) = GOOGLE.read(path).prompts
    return prompt


def write_prompt(path: Path, prompt: Prompt) -> None:
    assert GOOGLE.write(path, Given(prompts=[prompt], provenances=[])) == ()


@pytest.mark.parametrize("task", ["mrpc", "rte", "sst2"])
def test_a_released_prompt_comes_back_byte_for_byte(shared, tmp_path, task):
    released = shared / "data" / "prompts" / "t5_1_1_lm100k_base" / f"{task}.npy"
    prompt = read_prompt(released)
    assert prompt.rows.shape == (1, 100, 768)
    np.testing.assert_array_equal(prompt.rows[0], np.load(released))
    # Its trainer calls the file after the parameter, without a suffix.
    path = tmp_path / "encoder.prompt.prompt.prompt"
    write_prompt(path, prompt)
    assert path.read_bytes() == released.read_bytes()


def test_rows_in_any_order_of_memory_are_the_same_prompt(tmp_path):
    path, rows = tmp_path / "p.npy", np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(path, np.asfortranarray(rows))
    np.testing.assert_array_equal(read_prompt(path).rows[0], rows)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(16, np.float32), r"holds float32 \[16\]"),
        (np.zeros((1, 3, 16), np.float32), r"holds float32 \[1, 3, 16\]"),
        (np.zeros((0, 16), np.float32), r"holds float32 \[0, 16\]"),
        (np.zeros((3, 16)), r"holds float64 \[3, 16\]"),
        (np.zeros((3, 16), np.float16), r"holds float16 \[3, 16\]"),
        (np.full((3, 16), np.nan, np.float32), "holds numbers that are not finite"),
        (np.full((3, 16), np.inf, np.float32), "holds numbers that are not finite"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message):
    path = tmp_path / "p.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=rf"p\.npy {message}"):
        read_prompt(path)


def test_a_real_file_of_another_dtype_is_refused(shared):
    folder = shared / "data" / "prompts" / "t5_1_1_lm100k_base"
    with pytest.raises(
        ValueError, match=r"holds float64 \[5, 256\]: .* float32 \[P, D"
    ):
        read_prompt(folder / "prompt_5x256.npy")


class Trap:
    """A pickle that leaves a trace if it is ever read."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_a_pickle_is_refused_unread(tmp_path):
    path, trace = tmp_path / "p.npy", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(
        ValueError, match=r"p\.npy cannot be read, .* a pickle .* a \.npy file"
    ):
        read_prompt(path)
    np.save(path, np.array([Trap(trace)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"p\.npy cannot be read"):
        read_prompt(path)
    assert not trace.exists()


@pytest.mark.parametrize("size", [0, 5, 60, -1])
def test_a_cut_file_is_refused(tmp_path, size):
    path = tmp_path / "p.npy"
    np.save(path, np.zeros((3, 16), np.float32))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"p\.npy cannot be read"):
        read_prompt(path)


def test_an_archive_of_arrays_is_refused(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, prompt=np.zeros((3, 16), np.float32))
    with pytest.raises(ValueError, match=r"p\.npz holds several arrays"):
        read_prompt(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"p\.npz cannot be read"):
        read_prompt(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no prompt file at .*none\.npy"):
        read_prompt(tmp_path / "none.npy")
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        read_prompt(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no folder .*none for p\.npy"):
        write_prompt(tmp_path / "none" / "p.npy", draw_prompt(0))
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_float32_whatever_came(tmp_path):
    path = tmp_path / "p.npy"
    prompt = draw_prompt(0)
    write_prompt(path, prompt)
    array = np.load(path)
    assert (array.dtype, array.shape) == (np.float32, (3, 16))
    np.testing.assert_array_equal(jnp.asarray(array), prompt.rows[0])
