"""Checkpoints are bit for bit what was saved, small, and the right ones are kept."""

import dataclasses
import errno
import json
import math
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import CONFIG, draw_prompt, make_tiny

from jaxprompt.data.rows.position import Position
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.sharding import make_mesh, place
from jaxprompt.train.checkpoint import Checkpoints, keep_last
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.progress import MemberProgress, Progress
from jaxprompt.train.step import TrainState, init_state

TX = train_only(adafactor())


def state_of(tiny, seed, step, length=3):
    prompt = draw_prompt(seed, members=2, length=length)
    state, _ = init_state(tiny.join(prompt), TX)
    noise = jax.random.split(jax.random.key(seed), 99)
    opt_state = jax.tree.map(
        lambda x: (jax.random.normal(noise[x.size % 99], x.shape) * 9).astype(x.dtype),
        state.opt_state,
    )
    return TrainState(jnp.asarray(step, jnp.int32), state.trained, opt_state)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        assert a.sharding.is_equivalent_to(b.sharding, a.ndim)
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def opened(tmp_path):
    """Opens the folder anew each time, as another process would."""
    managers = []

    def open_folder(formerly=None, **inputs):
        folder = tmp_path / "checkpoints"
        managers.append(Checkpoints(folder, inputs=inputs, formerly=formerly))
        return managers[-1]

    yield open_folder
    for manager in managers:
        manager.close()


def kept(tmp_path):
    return sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())


def test_a_state_comes_back_bit_for_bit(tiny, opened):
    state = state_of(tiny, 1, 7)
    first = MemberProgress(Position(2, 5), best_step=7, best_score=0.1 + 0.2, stale=3)
    progress = Progress((first, MemberProgress(Position(3, 1))), seconds=0.1)
    opened().save(state, progress)
    found, told = opened().latest(state_of(tiny, 2, 0))
    assert_same(found, state)
    assert told == progress
    assert_same(opened().load(7, state_of(tiny, 2, 0)), state)


def test_progress_before_any_evaluation_comes_back(tiny, opened):
    progress = Progress((MemberProgress(Position(0, 5)),), seconds=1.5)
    opened().save(state_of(tiny, 1, 5), progress)
    _, told = opened().latest(state_of(tiny, 1, 0))
    assert told == progress
    assert told.members[0].best_score == -math.inf


def test_a_state_on_a_mesh_comes_back_to_it(tiny, opened):
    params = place(tiny.join(draw_prompt(0)), make_mesh(2, 4))
    state, _ = init_state(params, TX)
    # Nothing may stand on a single device, or no step could use it with the rest.
    assert all(len(leaf.sharding.device_set) == 8 for leaf in jax.tree.leaves(state))
    state = dataclasses.replace(state, step=state.step + 1)
    opened().save(state, Progress())
    found, _ = opened().latest(init_state(params, TX)[0])
    assert_same(found, state)


@pytest.mark.parametrize("data", [1, 8])
def test_a_state_goes_on_on_another_mesh(tiny, opened, data):
    state, _ = init_state(place(tiny.join(draw_prompt(0)), make_mesh(2, 4)), TX)
    state = dataclasses.replace(state, step=state.step + 1)
    opened().save(state, Progress())
    mesh = make_mesh(data, 8 // data)
    other, _ = init_state(place(tiny.join(draw_prompt(1)), mesh), TX)
    found, _ = opened().latest(other)
    for leaf, saved in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        assert leaf.sharding.mesh.shape == mesh.shape
        np.testing.assert_array_equal(leaf, saved)


def test_a_checkpoint_from_before_there_were_heads_is_resumed(tiny, opened):
    """What holds no arrays may be missing on disk, or here: nothing is in it."""
    state = state_of(tiny, 1, 7)
    opened().save(state, Progress())

    def with_head(state):
        return dataclasses.replace(state, trained={**state.trained, "head": {}})

    found, _ = opened().latest(with_head(state_of(tiny, 2, 0)))
    assert_same(found, with_head(state))


def test_a_prompt_of_keys_and_values_alone_comes_back(tiny, opened):
    def state(seed):
        draw = np.random.default_rng(seed)
        deep = make_deep(*draw.normal(size=(2, 1, 4, 8, 4)))
        prompt = make_prompt(jnp.zeros((0, 16)), {"cross": deep})
        state, _ = init_state(tiny.join(prompt), TX)
        return dataclasses.replace(state, step=state.step + 7)

    opened().save(state(1), Progress())
    found, _ = opened().latest(state(2))
    assert_same(found, state(1))


def test_nothing_is_there_before_the_first(tiny, opened):
    assert opened().latest(state_of(tiny, 1, 0)) is None


def test_nothing_of_the_backbone_is_on_disk(opened, tmp_path):
    """Its embeddings alone would take a megabyte."""
    large = make_tiny(dataclasses.replace(CONFIG, vocab_rows=20_000))
    assert large.model["embedding"].nbytes > 1e6
    opened().save(state_of(large, 1, 7), Progress())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) < 1e5


def test_the_best_and_the_last_two_are_kept(tiny, opened, tmp_path):
    """Of equal scores the first is the best; one that is no number never is."""
    progress = Progress()
    scores = [[1.0], [3.0], [2.0], [3.0], [math.nan], []]
    for step, found in enumerate(scores, start=1):
        if found:
            progress = progress.scored(step, found)
        # A new process each time: what is kept does not hang on its memory.
        opened().save(state_of(tiny, step, step), progress)
    (member,) = progress.members
    assert (member.best_step, member.best_score, member.stale) == (2, 3.0, 3)
    assert kept(tmp_path) == [2, 5, 6]
    assert_same(opened().load(2, state_of(tiny, 0, 0)), state_of(tiny, 2, 2))
    assert_same(opened().latest(state_of(tiny, 0, 0))[0], state_of(tiny, 6, 6))


def test_the_best_is_kept_for_the_last_but_one_too(tiny, opened, tmp_path):
    """Were the last one damaged, the run would go on from there."""
    progress = Progress()
    checkpoints = opened()
    seen = []
    for step, score in enumerate([1.0, 0.0, 0.0, 2.0, 0.0, 0.0], start=1):
        progress = progress.scored(step, [score])
        checkpoints.save(state_of(tiny, step, step), progress)
        seen.append(kept(tmp_path))
    assert seen == [[1], [1, 2], [1, 2, 3], [1, 3, 4], [4, 5], [4, 5, 6]]


def test_the_best_of_each_member_is_kept(tiny, opened, tmp_path):
    progress = Progress((MemberProgress(), MemberProgress()))
    scores = [(1.0, 9.0), (3.0, 2.0), (2.0, 9.0), (2.0, math.nan), (0.0, 0.0)]
    for step, found in enumerate(scores, start=1):
        progress = progress.scored(step, found)
        opened().save(state_of(tiny, step, step), progress)
    assert [member.best_step for member in progress.members] == [2, 1]
    assert kept(tmp_path) == [1, 2, 4, 5]


def test_saving_a_step_again_does_nothing(tiny, opened):
    checkpoints = opened()
    checkpoints.save(state_of(tiny, 1, 7), Progress())
    checkpoints.save(state_of(tiny, 2, 7), Progress())
    assert_same(checkpoints.load(7, state_of(tiny, 0, 0)), state_of(tiny, 1, 7))


def test_a_save_that_was_killed_is_no_checkpoint(tiny, opened, tmp_path):
    opened().save(state_of(tiny, 1, 7), Progress())
    (half,) = (tmp_path / "checkpoints").iterdir()
    (tmp_path / "checkpoints" / "8.orbax-checkpoint-tmp").mkdir()
    found, _ = opened().latest(state_of(tiny, 2, 0))
    assert int(found.step) == 7
    assert kept(tmp_path) == [7]
    assert half.name == "7"


def test_a_state_of_another_run_is_refused(tiny, opened):
    """Another prompt length; another optimizer."""
    opened().save(state_of(tiny, 1, 7), Progress())
    message = r"step 7 in .* does not fit .*: .*prompt/rows is \(2, 3, 16\) there and"
    with pytest.raises(ValueError, match=rf"{message} \(2, 4, 16\) here"):
        opened().latest(state_of(tiny, 1, 0, length=4))
    other, _ = init_state(
        tiny.join(draw_prompt(1, members=2)), train_only(optax.adamw(0.1))
    )
    with pytest.raises(ValueError, match=r"opt_state/.* is not there and \(.*\) here"):
        opened().load(7, other)


@pytest.fixture(scope="module")
def two(tiny, tmp_path_factory):
    """A folder with the checkpoints 3, 6 and 7; 3 is the best of all."""
    folder = tmp_path_factory.mktemp("two") / "checkpoints"
    checkpoints = Checkpoints(folder)
    progress = Progress().scored(3, [1.0])
    for step in (3, 6, 7):
        checkpoints.save(state_of(tiny, step, step), progress)
    checkpoints.close()
    return folder


@pytest.fixture
def damaged(two, tmp_path):
    """A copy of it, to damage."""
    return shutil.copytree(two, tmp_path / "checkpoints")


def test_of_a_finished_run_the_last_and_its_best_are_kept(damaged, opened, tiny):
    assert keep_last(damaged) == [3, 7]
    assert sorted(path.name for path in damaged.iterdir()) == ["3", "7"]
    checkpoints = opened()
    assert not checkpoints.notes
    assert_same(checkpoints.latest(state_of(tiny, 0, 0))[0], state_of(tiny, 7, 7))
    assert_same(checkpoints.load(3, state_of(tiny, 0, 0)), state_of(tiny, 3, 3))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, flip, remove])
def test_damage_to_any_file_is_found_and_the_one_before_is_taken(
    tiny, two, damage, tmp_path
):
    files = [p.relative_to(two) for p in (two / "7").rglob("*") if p.is_file()]
    assert len(files) > 5
    for number, name in enumerate(sorted(files)):
        folder = shutil.copytree(two, tmp_path / str(number))
        damage(folder / name)
        checkpoints = Checkpoints(folder)
        (note,) = checkpoints.notes
        assert f"checkpoint 7 in {folder} is damaged ({name.relative_to('7')} " in note
        assert note.endswith("it is removed, and training goes on from step 6")
        assert checkpoints.last_step == 6
        assert not (folder / "7").exists()
        checkpoints.close()


def test_what_is_taken_instead_is_whole_and_goes_on(tiny, damaged, opened, tmp_path):
    remove(damaged / "7" / "sha256.json")
    checkpoints = opened()
    assert "(sha256.json is missing)" in checkpoints.notes[0]
    found, progress = checkpoints.latest(state_of(tiny, 0, 0))
    assert_same(found, state_of(tiny, 6, 6))
    checkpoints.save(state_of(tiny, 7, 7), progress)
    assert kept(tmp_path) == [3, 6, 7]
    assert opened().notes == []


def test_of_the_last_two_damaged_the_best_goes_on(tiny, damaged, opened):
    flip(damaged / "7" / "state" / "manifest.ocdbt")
    shutil.rmtree(damaged / "6" / "state")
    checkpoints = opened()
    assert [note.rpartition("from ")[2] for note in checkpoints.notes] == ["step 3"] * 2
    assert_same(checkpoints.latest(state_of(tiny, 0, 0))[0], state_of(tiny, 3, 3))


def test_where_nothing_is_whole_nothing_is_removed(damaged, opened, tmp_path):
    for step in ("3", "6", "7"):
        cut(damaged / step / "_CHECKPOINT_METADATA")
    message = (
        r"every checkpoint in .* is damaged \(3: _CHECK.* is not what was saved; 6"
    )
    with pytest.raises(ValueError, match=message):
        opened()
    assert kept(tmp_path) == [3, 6, 7]


def test_an_older_one_that_nothing_names_is_removed(tiny, damaged, opened, tmp_path):
    flip(damaged / "6" / "_CHECKPOINT_METADATA")
    checkpoints = opened()
    assert "checkpoint 6" in checkpoints.notes[0]
    assert kept(tmp_path) == [3, 7]
    assert_same(checkpoints.latest(state_of(tiny, 0, 0))[0], state_of(tiny, 7, 7))


def test_one_that_was_half_removed_is_no_damage(damaged, opened, tmp_path):
    """As a killed run leaves it: the checksums go first."""
    for name in ("sha256.json", "_CHECKPOINT_METADATA"):
        (damaged / "6" / name).unlink()
    assert opened().notes == []
    assert kept(tmp_path) == [3, 7]


def test_a_lost_best_loses_those_that_name_it(damaged, opened):
    shutil.rmtree(damaged / "3")
    with pytest.raises(ValueError, match="its best, checkpoint 3, is lost: its folder"):
        opened()


def test_a_best_that_is_damaged_during_the_run_is_never_loaded(tiny, damaged, opened):
    checkpoints = opened()
    flip(damaged / "3" / "state" / "manifest.ocdbt")
    with pytest.raises(ValueError, match=r"checkpoint 3 .* is damaged \(state/manif"):
        checkpoints.load(3, state_of(tiny, 0, 0))


def test_a_save_that_was_killed_before_its_checksums_is_none(tiny, opened, tmp_path):
    """Even of the first: that is no damage, and the run starts as if it were new."""
    opened().save(state_of(tiny, 1, 7), Progress())
    (tmp_path / "checkpoints" / "7" / "sha256.json").unlink()
    (tmp_path / "checkpoints" / ".saving").write_text("7")
    checkpoints = opened()
    assert checkpoints.notes == []
    assert checkpoints.latest(state_of(tiny, 1, 0)) is None


def test_other_inputs_are_refused_and_named(tiny, opened):
    opened(data="0" * 64, model="1" * 64).save(state_of(tiny, 1, 7), Progress())
    assert opened(data="0" * 64, model="1" * 64).latest(state_of(tiny, 1, 0))
    message = "data changed since this run started .SHA-256 000000000000, now 222222222"
    with pytest.raises(ValueError, match=message):
        opened(data="2" * 64, model="1" * 64).latest(state_of(tiny, 1, 0))
    with pytest.raises(ValueError, match=r"model changed .* now none"):
        opened(data="0" * 64).latest(state_of(tiny, 1, 0))


def test_what_an_earlier_version_hashed_is_accepted_with_a_note(tiny, opened):
    opened(model="1" * 64).save(state_of(tiny, 1, 7), Progress())
    checkpoints = opened(formerly={"model": "1" * 64}, model="2:" + "5" * 64)
    assert checkpoints.latest(state_of(tiny, 1, 0))
    assert ["only a part of it was hashed" in note for note in checkpoints.notes] == [
        True
    ]
    checkpoints.save(state_of(tiny, 1, 8), Progress())
    with pytest.raises(
        ValueError, match=r"model changed .*SHA-256 2:5555555555, now 2:"
    ):
        opened(formerly={"model": "1" * 64}, model="2:" + "6" * 64).latest(
            state_of(tiny, 1, 0)
        )


def test_a_save_that_fails_is_told_and_leaves_the_ones_before(
    tiny, damaged, opened, monkeypatch
):
    """The disk fills between orbax's files and the checksums."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoints = opened()
    with monkeypatch.context() as patch:
        patch.setattr("jaxprompt.train.checkpoint.write_checksums", full)
        message = "cannot save step 8 in .*: No space left on device.* after step 7 is"
        with pytest.raises(OSError, match=message):
            checkpoints.save(state_of(tiny, 8, 8), Progress().scored(3, [1.0]))
    checkpoints.close()
    again = opened()
    assert (again.last_step, again.notes) == (7, [])


def test_checksums_name_every_file_of_a_checkpoint(two):
    listed = json.loads((two / "7" / "sha256.json").read_text())["files"]
    files = {p.relative_to(two / "7") for p in (two / "7").rglob("*") if p.is_file()}
    assert {*listed, "sha256.json"} == {path.as_posix() for path in files}
