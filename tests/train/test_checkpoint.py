"""Checkpoints are bit for bit what was saved, small, and the right ones are kept."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import CONFIG, draw_prompt, make_tiny

from jaxprompt.data.batches import Position
from jaxprompt.sharding import make_mesh, place
from jaxprompt.train.checkpoint import Checkpoints, MemberProgress, Progress
from jaxprompt.train.optimizer import adafactor, train_only
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

    def open_folder(members=1):
        managers.append(Checkpoints(tmp_path / "checkpoints", members))
        return managers[-1]

    yield open_folder
    for manager in managers:
        manager.close()


def kept(tmp_path):
    return sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())


def test_a_state_comes_back_bit_for_bit(tiny, opened):
    state = state_of(tiny, 1, 7)
    first = MemberProgress(Position(2, 5), best_step=4, best_score=0.1 + 0.2, stale=3)
    progress = Progress((first, MemberProgress(Position(3, 1))), seconds=0.1)
    opened(2).save(state, progress, (0.25, 0.5))
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


def test_nothing_is_there_before_the_first(tiny, opened):
    assert opened().latest(state_of(tiny, 1, 0)) is None


def test_nothing_of_the_backbone_is_on_disk(opened, tmp_path):
    """Its embeddings alone would take a megabyte."""
    large = make_tiny(dataclasses.replace(CONFIG, vocab_rows=20_000))
    assert large.model["embedding"].nbytes > 1e6
    opened().save(state_of(large, 1, 7), Progress(), (0.5,))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) < 1e5


def test_the_best_and_the_last_are_kept(tiny, opened, tmp_path):
    """Of equal scores the first is the best; one that is no number never is."""
    progress = Progress()
    scores = [[1.0], [3.0], [2.0], [3.0], [math.nan], []]
    best = []
    for step, found in enumerate(scores, start=1):
        if found:
            progress = progress.scored(step, found)
        (member,) = progress.members
        best.append(member.best_step)
        # A new process each time: what is kept does not hang on its memory.
        opened().save(state_of(tiny, step, step), progress, found)
        assert kept(tmp_path) == sorted({member.best_step, step})
    assert best == [1, 2, 2, 2, 2, 2]
    assert (member.best_score, member.stale) == (3.0, 3)
    assert_same(opened().load(2, state_of(tiny, 0, 0)), state_of(tiny, 2, 2))
    assert_same(opened().latest(state_of(tiny, 0, 0))[0], state_of(tiny, 6, 6))


def test_the_best_of_each_member_is_kept(tiny, opened, tmp_path):
    progress = Progress((MemberProgress(), MemberProgress()))
    scores = [(1.0, 9.0), (3.0, 2.0), (2.0, 9.0), (2.0, math.nan)]
    for step, found in enumerate(scores, start=1):
        progress = progress.scored(step, found)
        opened(2).save(state_of(tiny, step, step), progress, found)
    assert [member.best_step for member in progress.members] == [2, 1]
    assert kept(tmp_path) == [1, 2, 4]


def test_only_numbers_that_are_not_leave_the_last(tiny, opened, tmp_path):
    progress = Progress()
    for step in (1, 2):
        progress = progress.scored(step, [math.nan])
        opened().save(state_of(tiny, step, step), progress, [math.nan])
    assert progress.members[0].best_step == 0
    assert kept(tmp_path) == [2]


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
