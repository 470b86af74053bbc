"""A prompt in a whole T5X checkpoint is found there, and put into one."""

import shutil
from pathlib import Path

import flax.serialization
import numpy as np
import pytest
import tensorstore

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.interop.t5x import PROMPT
from jaxprompt.models.weights.t5x_index import leaf_names, read_index, read_leaf
from jaxprompt.prompts.prompt import Prompt, make_prompt

FORM = find_form("t5x")
ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
def plain(shared: Path, tmp_path: Path) -> Path:
    """A real checkpoint of width 4, without a prompt."""
    real = shared / "data" / "checkpoints" / "t5x_test_t5_1_1_tiny" / "checkpoint_3"
    folder = tmp_path / "checkpoint_3"
    shutil.copytree(real, folder, copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def put(folder: Path, value: object, leaf: str = "prompt") -> None:
    """Adds a prompt as T5X's trainer would: under encoder/prompt/prompt."""
    path = folder / "checkpoint"
    tree = flax.serialization.msgpack_restore(path.read_bytes())
    tree["optimizer"]["target"]["encoder"]["prompt"] = {"prompt": {leaf: value}}
    path.write_bytes(flax.serialization.msgpack_serialize(tree))


def given(prompt: Prompt, backbone: object) -> Given:
    return Given(prompts=[prompt], provenances=[], backbone=str(backbone))


def test_a_prompt_beside_the_index_is_read(plain):
    store = {"driver": "file", "path": f"{plain / f'target.{PROMPT}'}/"}
    metadata = {"shape": [3, 4], "chunks": [3, 4], "dtype": "<f4"}
    spec = {"driver": "zarr", "kvstore": store, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(ROWS).result()
    put(plain, {"driver": "zarr", "kvstore": {"driver": "gfile"}, "metadata": metadata})
    (prompt,) = FORM.read(plain).prompts
    np.testing.assert_array_equal(prompt.rows[0], ROWS)
    shutil.rmtree(plain / f"target.{PROMPT}")
    with pytest.raises(ValueError, match="cannot be read, though the index names it"):
        FORM.read(plain)


def test_a_prompt_in_the_index_is_read(plain):
    put(plain, ROWS)
    (prompt,) = FORM.read(plain).prompts
    np.testing.assert_array_equal(prompt.rows[0], ROWS)


def test_a_prompt_is_put_into_a_copy_of_its_checkpoint(plain, tmp_path):
    before = {path: path.read_bytes() for path in plain.rglob("*") if path.is_file()}
    made = tmp_path / "checkpoint_4"
    assert FORM.write(made, given(make_prompt(ROWS), plain)) == ()
    (prompt,) = FORM.read(made).prompts
    np.testing.assert_array_equal(prompt.rows[0], ROWS)
    assert {path: path.read_bytes() for path in before} == before
    ours, theirs = read_index(made), read_index(plain)
    assert set(leaf_names(ours)) == {*leaf_names(theirs), PROMPT}
    for name in leaf_names(theirs):
        np.testing.assert_array_equal(
            read_leaf(made, ours, name), read_leaf(plain, theirs, name)
        )
    # T5X's trainer puts it beside the index: a second prompt takes its place.
    again = tmp_path / "checkpoint_5"
    FORM.write(again, given(make_prompt(ROWS + 1), made))
    np.testing.assert_array_equal(FORM.read(again).prompts[0].rows[0], ROWS + 1)


def test_mistakes_are_told_and_leave_nothing(plain, tmp_path):
    out, prompt = tmp_path / "checkpoint_4", make_prompt(ROWS)
    with pytest.raises(ValueError, match=f"has no {PROMPT}, but no prompt at all"):
        FORM.read(plain)
    put(plain, ROWS, leaf="shared_prompt")
    with pytest.raises(
        ValueError, match=r"but encoder\.prompt\.prompt\.shared_prompt:"
    ):
        FORM.read(plain)
    put(plain, ROWS[0])
    with pytest.raises(ValueError, match=r"is float32 \[4\]: it must be \[P, D\]"):
        FORM.read(plain)
    with pytest.raises(FileNotFoundError, match="no file checkpoint in"):
        FORM.read(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint to put the prompt into"):
        FORM.write(out, given(prompt, ""))
    with pytest.raises(ValueError, match="prompt width 5 != model width 4"):
        FORM.write(out, given(make_prompt(np.ones((3, 5), np.float32)), plain))
    (plain / "checkpoint").write_bytes(b"\xc1cut")
    with pytest.raises(ValueError, match="is no T5X index"):
        FORM.write(out, given(prompt, plain))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_3"]
