"""fit: what it does when, what stops it, and that stopping costs nothing."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import draw_examples, draw_prompt, one_each

from jaxprompt.data.rows.position import Position
from jaxprompt.screen.interrupts import Interrupted, interruptible
from jaxprompt.train.checkpoint import Checkpoints
from jaxprompt.train.checksums import NAME as CHECKSUMS
from jaxprompt.train.checksums import write_checksums
from jaxprompt.train.loop import Validation, fit
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.pace import Pace
from jaxprompt.train.progress import MemberProgress, Progress
from jaxprompt.train.step import TrainState, init_state, make_train_step
from jaxprompt.train.stopped import Stopped


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counted:
    """A batch that says how many came before it; three of its four tokens are real."""

    number: np.float32
    input_segments: np.ndarray


@jax.jit
def count_step(state, frozen, batch):
    """A step without a model: what it has seen is what it has learnt."""
    seen = state.trained["seen"] * frozen["factor"] + batch.number
    metrics = {"loss": batch.number / 1.0, "gradient_norm": jnp.ones(())}
    return TrainState(state.step + 1, {"seen": seen}, ()), metrics


def counting(positions):
    """Epochs of four batches, each with the number of steps before it."""
    (position,) = positions
    step = 4 * position.epoch + position.batch
    while True:
        after = Position((step + 1) // 4, (step + 1) % 4)
        yield Counted(np.float32(step), np.array([[1, 1, 2, 0]])), (after,)
        step += 1


def fit_in(
    folder,
    start,
    frozen,
    train_step,
    batches,
    pace,
    evaluate=None,
    members=1,
    **options,
):
    """What a process does that is started in a workdir, whatever is there."""
    checkpoints = Checkpoints(folder / "checkpoints")
    fresh = Progress(tuple(MemberProgress() for _ in range(members)))
    state, progress = checkpoints.latest(start) or (start, fresh)
    log = MetricLog(folder, int(state.step))
    try:
        return fit(
            state,
            frozen,
            train_step,
            batches,
            pace,
            batch_size=2,
            progress=progress,
            evaluate=evaluate,
            checkpoints=checkpoints,
            log=log,
            show_bar=False,
            **options,
        )
    finally:
        log.close()
        checkpoints.close()


def read_lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@dataclasses.dataclass(frozen=True)
class Folder:
    """The workdir of runs of `count_step`."""

    path: Path

    def fit(
        self,
        pace,
        train_step=count_step,
        *,
        evaluate=None,
        batches=counting,
        **options,
    ):
        start = TrainState(jnp.zeros((), jnp.int32), {"seen": jnp.zeros(())}, ())
        frozen = {"factor": jnp.asarray(3.0)}
        arguments = (start, frozen, train_step, batches, pace, evaluate)
        return fit_in(self.path, *arguments, **options)

    def lines(self):
        return read_lines(self.path)

    def kept(self):
        return sorted(int(p.name) for p in (self.path / "checkpoints").iterdir())


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def seen_after(steps):
    total = 0.0
    for step in range(steps):
        total = 3 * total + step
    return total


def test_it_takes_every_step_and_tells_the_mean_of_each_window(folder):
    state, progress = folder.fit(Pace(steps=5, log_every=2))
    assert int(state.step) == 5
    assert float(state.trained["seen"]) == seen_after(5)
    assert progress.positions == (Position(1, 1),)
    assert progress.seconds > 0
    told = [(line["step"], line["loss"]) for line in folder.lines()]
    assert told == [(2, 0.5), (4, 2.5), (5, 4.0)]
    assert all(line["examples_per_second"] > 0 for line in folder.lines())
    assert [line["padding"] for line in folder.lines()] == [0.25] * 3
    assert folder.kept() == [5]


def test_it_evaluates_the_joined_tree_when_due_and_at_the_end(folder):
    seen = []

    def evaluate(params):
        assert float(params["factor"]) == 3
        seen.append(float(params["seen"]))
        return Validation([-len(seen)], {"score": -len(seen), "illegal": 0.5})

    _, progress = folder.fit(
        Pace(steps=7, log_every=7, evaluate_every=3), evaluate=evaluate
    )
    assert seen == [seen_after(3), seen_after(6), seen_after(7)]
    (member,) = progress.members
    assert (member.best_step, member.best_score, member.stale) == (3, -1, 2)
    scores = [line for line in folder.lines() if "validation/score" in line]
    assert [(line["step"], line["validation/score"]) for line in scores] == [
        (3, -1),
        (6, -2),
        (7, -3),
    ]
    assert scores[0]["validation/illegal"] == 0.5
    assert folder.kept() == [3, 6, 7]


def test_without_an_interval_it_does_not_evaluate(folder):
    def evaluate(params):
        raise AssertionError

    folder.fit(Pace(steps=2), evaluate=evaluate)


def test_it_gives_up_after_patience_and_stays_so(folder):
    scores = iter([1.0, 2.0, 2.0, 1.5, 9.0])
    pace = Pace(steps=100, log_every=1, evaluate_every=2, patience=2)

    def evaluate(params):
        return Validation([next(scores)], {})

    state, progress = folder.fit(pace, evaluate=evaluate)
    assert int(state.step) == 8
    (member,) = progress.members
    assert (member.best_step, member.best_score) == (4, 2.0)
    assert folder.kept() == [4, 6, 8]
    again, progress = folder.fit(pace, evaluate=evaluate)
    assert (int(again.step), progress.members[0].stale) == (8, 2)
    assert next(scores) == 9.0


def test_members_give_up_one_by_one(tmp_path):
    """One that gave up stays at the best that it had, though its scores go on."""
    scores = iter([[5.0, 1.0], [4.0, 2.0], [9.0, 3.0], [9.0, 2.0], [0.0, 0.0]])

    def batches(positions):
        for batch, (after,) in counting(positions[:1]):
            yield batch, (after, after)

    state, progress = fit_in(
        tmp_path,
        TrainState(jnp.zeros((), jnp.int32), {"seen": jnp.zeros(())}, ()),
        {"factor": jnp.asarray(3.0)},
        count_step,
        batches,
        Pace(steps=100, evaluate_every=2, patience=1),
        lambda params: Validation(next(scores), {}),
        members=2,
    )
    assert [(m.best_step, m.best_score) for m in progress.members] == [(2, 5), (6, 3)]
    assert int(state.step) == 8
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert {2, 6, 8} <= set(kept)


def poison(at, name):
    """A step whose metric `name` is not finite at step `at`."""

    def step(state, frozen, batch):
        state, metrics = count_step(state, frozen, batch)
        value = jnp.where(state.step == at, jnp.nan, metrics[name])
        return state, {**metrics, name: value}

    return step


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
def test_a_number_that_is_not_finite_stops_the_run(folder, name):
    """Before an evaluation, before a checkpoint; those before it are kept."""
    evaluated = []

    def evaluate(params):
        evaluated.append(float(params["seen"]))
        return Validation([0.0], {})

    message = r"step 5 has .*nan.* on batch 1 of epoch 2: lower the learning rate.*"
    message += "the state after step 3 is kept in .*checkpoints"
    with pytest.raises(FloatingPointError, match=message):
        folder.fit(
            Pace(steps=20, log_every=10, evaluate_every=3),
            train_step=poison(5, name),
            evaluate=evaluate,
        )
    assert evaluated == [seen_after(3)]
    assert folder.kept() == [3]
    state, _ = folder.fit(Pace(steps=7))
    assert float(state.trained["seen"]) == seen_after(7)


def test_a_number_that_is_not_finite_is_found_at_the_checkpoint(folder):
    with pytest.raises(FloatingPointError, match="step 5 has loss nan"):
        folder.fit(
            Pace(steps=20, log_every=100, checkpoint_every=3),
            train_step=poison(5, "loss"),
        )
    assert folder.kept() == [3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(folder, number):
    before = signal.getsignal(number)

    def batches(position):
        for batch, after in counting(position):
            if batch.number == 4:
                os.kill(os.getpid(), number)
            yield batch, after

    with pytest.raises(Stopped, match=f"{number.name} after step 5: .* is saved") as e:
        folder.fit(Pace(steps=9, checkpoint_every=2), batches=batches)
    assert e.value.signal == number
    assert signal.getsignal(number) is before
    assert folder.kept() == [4, 5]
    state, progress = folder.fit(Pace(steps=9))
    assert float(state.trained["seen"]) == seen_after(9)
    assert progress.positions == (Position(2, 1),)


def test_a_second_signal_does_not_wait(folder):
    def batches(position):
        for batch, after in counting(position):
            if batch.number == 4:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch, after

    with pytest.raises(KeyboardInterrupt):
        folder.fit(Pace(steps=9, checkpoint_every=2), batches=batches)
    assert folder.kept() == [2, 4]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_last_step_saves_and_stops_too(folder, number):
    """What follows the training, the scores, may take as long as it did."""

    def batches(position):
        for batch, after in counting(position):
            if batch.number == 4:
                os.kill(os.getpid(), number)
            yield batch, after

    with pytest.raises(Stopped, match=f"{number.name} after step 5: .* is saved"):
        folder.fit(Pace(steps=5), batches=batches)
    assert folder.kept() == [5]
    state, _ = folder.fit(Pace(steps=5))
    assert float(state.trained["seen"]) == seen_after(5)


def test_a_signal_while_the_last_state_is_saved_is_heard(folder, monkeypatch):
    save = Checkpoints.save

    def interrupted(checkpoints, state, progress):
        save(checkpoints, state, progress)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Checkpoints, "save", interrupted)
    with pytest.raises(Interrupted, match="SIGTERM"), interruptible(ends_process=False):
        folder.fit(Pace(steps=5))
    assert folder.kept() == [5]


class Killed(Exception):
    """Stands for SIGKILL: nothing that the loop could do follows it."""


def test_killed_and_resumed_is_as_if_never_killed(tiny, tmp_path):
    """Two members, dropout, gradient accumulation, evaluations; to the bit."""
    dropping = dataclasses.replace(tiny.backbone, dropout=0.1)
    tx = train_only(adafactor(lambda step: 0.3 / (1 + step), weight_decay=0.01))
    train_step = make_train_step(dropping, tx, seeds=(3, 4), accumulate=2)
    pace = Pace(steps=12, log_every=4, evaluate_every=5, checkpoint_every=3)

    def run(folder, kill_at=None):
        def batches(positions):
            first, second = positions
            while True:
                number = 4 * first.epoch + first.batch
                if number == kill_at:
                    raise Killed
                first = Position((number + 1) // 4, (number + 1) % 4)
                second = Position((number + 1) // 3, (number + 1) % 3)
                rows = draw_examples(number, 4) + draw_examples(number, 4, member=1)
                yield one_each(rows), (first, second)

        def evaluate(params):
            scores = params["prompt"].rows.mean((1, 2)).tolist()
            return Validation(scores, {"score": sum(scores)})

        folder.mkdir(exist_ok=True)
        start, frozen = init_state(tiny.join(draw_prompt(0, members=2)), tx)
        return fit_in(folder, start, frozen, train_step, batches, pace, evaluate, 2)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected, expected_progress = run(whole)
    for step in (1, 4, 8, 11):
        with pytest.raises(Killed):
            run(killed, kill_at=step)
    state, progress = run(killed)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    expected_progress = dataclasses.replace(expected_progress, seconds=progress.seconds)
    assert progress == expected_progress

    # Every window but the second begins in one process and ends in another.
    assert told(killed) == told(whole)


def told(folder):
    """What the log tells, without the speed."""
    return [
        {name: x for name, x in line.items() if name != "examples_per_second"}
        for line in read_lines(folder)
    ]


def test_a_checkpoint_of_before_windows_were_saved_is_gone_on_from(folder):
    pace = Pace(steps=4, log_every=4, checkpoint_every=2)
    folder.fit(dataclasses.replace(pace, steps=2, log_every=0))
    (metadata,) = folder.path.glob("checkpoints/2/_CHECKPOINT_METADATA")
    about = json.loads(metadata.read_text())
    del about["custom_metadata"]["progress"]["window"]
    metadata.write_text(json.dumps(about))
    (metadata.parent / CHECKSUMS).unlink()
    write_checksums(metadata.parent)
    state, _ = folder.fit(pace)
    assert float(state.trained["seen"]) == seen_after(4)
    # The mean over steps 3 and 4, whose losses are 2 and 3.
    assert folder.lines()[-1]["loss"] == 2.5


def test_a_number_that_is_not_finite_before_any_checkpoint_is_told(folder):
    def name_batch(state, positions):
        return f"{int(state.step)} steps and {positions[0].batch} batches"

    with pytest.raises(FloatingPointError, match=r"on 6 steps .*nothing was sav"):
        folder.fit(
            Pace(steps=20, log_every=6), poison(3, "loss"), name_batch=name_batch
        )
    assert folder.kept() == []
