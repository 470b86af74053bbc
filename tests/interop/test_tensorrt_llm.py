"""TensorRT-LLM's prompt table holds the prompts of several tasks, in their order."""

import numpy as np
import pytest
from tiny import WIDTH, draw_prompt

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.prompts.prompt import Prompt, unstack

FORM = find_form("tensorrt_llm")


def given(*prompts: Prompt, dtype: str = "float32") -> Given:
    return Given(prompts=prompts, provenances=[], dtype=dtype)


def test_a_table_is_tasks_by_tokens_by_width_and_comes_back(tmp_path):
    path, prompts = tmp_path / "table.npy", unstack(draw_prompt(0, members=3))
    assert FORM.write(path, given(*prompts)) == ()
    table = np.load(path)
    assert (table.dtype, table.shape) == (np.float32, (3, 3, WIDTH))
    for task, prompt in enumerate(prompts):
        np.testing.assert_array_equal(table[task], prompt.rows[0])
    taken = FORM.read(path)
    assert taken.notes == ()
    for mine, theirs in zip(prompts, taken.prompts, strict=True):
        np.testing.assert_array_equal(mine.rows, theirs.rows)


def test_float16_says_how_much_it_rounds(tmp_path):
    path, prompt = tmp_path / "table.npy", draw_prompt(0)
    (note,) = FORM.write(path, given(prompt, dtype="float16"))
    table = np.load(path)
    assert table.dtype == np.float16
    largest = np.abs(table[0].astype(np.float32) - prompt.rows[0]).max()
    assert f"rounded to float16: 100% of the numbers, by at most {largest:.2g}" in note
    (back,) = FORM.read(path).prompts
    np.testing.assert_array_equal(back.rows[0], table[0].astype(np.float32))
    huge = Prompt(prompt.rows + 1e5)
    with pytest.raises(ValueError, match="is too large for float16: use bfloat16"):
        FORM.write(path, given(huge, dtype="float16"))


def test_rows_that_fill_a_table_up_are_no_soft_tokens(tmp_path):
    path = tmp_path / "table.npy"
    table = np.ones((2, 4, WIDTH), np.float32)
    table[1, 3:] = table[0, 1] = 0
    np.save(path, table)
    taken = FORM.read(path)
    assert [prompt.length for prompt in taken.prompts] == [4, 3]
    assert taken.notes == (
        "task 1: left out 1 rows of zeros behind its 3 soft tokens, which fill the "
        "table up",
    )
    table[0] = 0
    np.save(path, table)
    with pytest.raises(ValueError, match="the rows of task 0 are all 0"):
        FORM.read(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 16), np.float32), r"is float32 \[3, 16\]: it must be \[tasks"),
        (np.zeros((1, 3, 16)), r"is float64 \[1, 3, 16\]"),
        (np.zeros((0, 3, 16), np.float32), r"is float32 \[0, 3, 16\]"),
        (np.full((1, 3, 16), np.inf, np.float16), "holds numbers that are not finite"),
        (np.array([[[{}]]], object), r"cannot be read, .* a pickle"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message):
    path = tmp_path / "table.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"table\.npy {message}"):
        FORM.read(path)


def test_prompts_of_two_lengths_make_no_table(tmp_path):
    with pytest.raises(ValueError, match="use prompts of one length"):
        FORM.write(tmp_path / "t.npy", given(draw_prompt(0), draw_prompt(0, length=4)))
    assert list(tmp_path.iterdir()) == []
