"""fit: the training loop; the clock, the bar and the signals of this room are here."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils

from jaxprompt.data.rows.position import Position
from jaxprompt.data.rows.row_batches import padding_share
from jaxprompt.screen.interrupts import Interrupted
from jaxprompt.screen.progress_bar import progress_bar
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.checkpoint import Checkpoints
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.pace import Pace
from jaxprompt.train.progress import Progress, Window
from jaxprompt.train.step import TrainState, TrainStep
from jaxprompt.train.stopped import Stopped

Positions = tuple[Position, ...]
"""Where in the data each member of the bank is."""

Rows = Batch | tuple[Batch, ...]
"""A batch, whole or in parts."""


class Validation(NamedTuple):
    """What an evaluation found.

    Attributes:
        scores: A score for each member of the bank, to be maximised.
        scalars: Name -> what the log keeps.
    """

    scores: Sequence[float]
    scalars: Mapping[str, float]


def _name_batch(state: TrainState, positions: Positions) -> str:
    del state
    first = positions[0]
    return f"batch {first.batch} of epoch {first.epoch + 1}"


def fit(
    state: TrainState,
    frozen: Params,
    train_step: TrainStep,
    batches: Callable[[Positions], Iterator[tuple[Rows, Positions]]],
    pace: Pace,
    *,
    batch_size: int,
    progress: Progress | None = None,
    evaluate: Callable[[Params], Validation] | None = None,
    checkpoints: Checkpoints | None = None,
    log: MetricLog | None = None,
    place: Callable[[Rows], Rows] = jax.device_put,
    name_batch: Callable[[TrainState, Positions], str] = _name_batch,
    show_bar: bool = True,
) -> tuple[TrainState, Progress]:
    """Trains to the end of the pace, or until it no longer gets better.

    Args:
        state: Where to start; donated.
        frozen: The frozen part of the joined tree; only read.
        train_step: From `make_train_step`, or `make_parts_step` for batches in parts.
        batches: From the members' data positions to an endless iterator of (batch,
            positions after it).
        pace: How long, and how often to log, evaluate and save.
        batch_size: Rows B of all members, for the examples per second.
        progress: What a resumed run knew; None for a new one.
        evaluate: From the joined tree to the members' scores, to be maximised.
        checkpoints: Where to save; None saves nothing.
        log: Where to write the curves; None writes none.
        place: Moves a batch of NumPy arrays to the devices.
        name_batch: From a state that came after a batch, and the positions right behind
            that batch, to words that say which rows it held, for error messages.
        show_bar: Whether to draw the progress bar.

    Returns:
        The last state and the progress.

    Raises:
        FloatingPointError: If a loss or gradient is not finite; names the batch, and
            what was saved before, which stays.
        Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
    progress = progress or Progress()
    step = int(state.step)
    start = time.perf_counter() - progress.seconds

    def broken(at: int, found: Mapping[str, Any], seen: Positions) -> Exception:
        kept = (
            "nothing is saved" if checkpoints is None else checkpoints.describe_last()
        )
        return FloatingPointError(
            f"step {at} has loss {found['loss']} and gradient norm "
            f"{found['gradient_norm']}, on {name_batch(state, seen)}: lower the "
            "learning rate, use float32, or look at these rows, in another workdir; "
            f"{kept}"
        )

    stream = batches(progress.positions)
    window = _OpenWindow(progress.window, batch_size, broken)
    bar = progress_bar(
        "training", total=pace.steps, unit="step", initial=step, show=show_bar
    )
    with bar, _StopSignals() as signals:
        while step < pace.steps and not progress.gave_up(pace.patience):
            batch, positions = next(stream)
            state, metrics = train_step(state, frozen, place(batch))
            step += 1
            progress = progress.moved(positions)
            parts = batch if isinstance(batch, tuple) else (batch,)
            window.add(metrics, padding_share(*parts), positions)
            bar.update()

            last = step == pace.steps
            scores: Sequence[float] = ()
            if _due(step, pace.log_every) or last:
                scalars = window.close(step)
                bar.set_postfix(_short(scalars, progress), refresh=False)
                if log:
                    log.write(step, scalars)
            if (
                evaluate
                and pace.evaluate_every
                and (last or _due(step, pace.evaluate_every))
            ):
                window.check(step)
                scores, found = evaluate({**frozen, **state.trained})
                scores = progress.counted(scores, pace.patience)
                progress = progress.scored(step, scores)
                window.restart()
                if log:
                    log.write(step, {f"validation/{k}": v for k, v in found.items()})
            received = signals.received_by(step)
            stop = received > 0 or progress.gave_up(pace.patience)
            due = scores or stop or last or _due(step, pace.checkpoint_every)
            if log and due:  # A checkpoint says that it was told up to here.
                log.sync()
            if checkpoints and due:
                progress = dataclasses.replace(
                    progress,
                    seconds=time.perf_counter() - start,
                    window=window.check(step),
                )
                checkpoints.save(state, progress)
            if received:
                raise Stopped(received, step, saved=checkpoints is not None)
    return state, progress


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _short(scalars: Mapping[str, float], progress: Progress) -> dict[str, str]:
    shown = {
        "loss": f"{scalars['loss']:.3f}",
        "padding": f"{scalars['padding']:.0%}",
        "ex/s": f"{scalars['examples_per_second']:.0f}",
    }
    evaluated = [member for member in progress.members if member.best_step]
    if evaluated:
        mean = sum(member.best_score for member in evaluated) / len(evaluated)
        steps = sorted({member.best_step for member in evaluated})
        shown["best"] = f"{mean:.1f} at {', '.join(map(str, steps))}"
    return shown


class _OpenWindow:
    """The window of the log that is being filled.

    The metrics stay on the device until they are asked for: fetching each would make
    every step wait for the one before.
    """

    def __init__(
        self, before: Window, batch_size: int, broken: Callable[..., Exception]
    ):
        self._window = before
        self._batch_size = batch_size
        self._broken = broken
        self._pending: list[tuple[Mapping[str, jax.Array], float, Positions]] = []
        self.restart()

    def restart(self) -> None:
        """Starts the clock anew, so that speed counts training only."""
        self._start, self._counted = time.perf_counter(), 0

    def add(
        self, metrics: Mapping[str, jax.Array], padding: float, positions: Positions
    ) -> None:
        self._pending.append((metrics, padding, positions))
        self._counted += 1

    def check(self, step: int) -> Window:
        """Fetches what was added; raises FloatingPointError if it is not finite."""
        fetched = jax.device_get([metrics for metrics, _, _ in self._pending])
        first = step - len(fetched) + 1
        for index, metrics in enumerate(fetched):
            _, padding, positions = self._pending[index]
            # A finite loss with another gradient leaves a prompt that is not finite.
            if not all(map(math.isfinite, metrics.values())):
                raise self._broken(first + index, metrics, positions)
            told = {name: float(value) for name, value in metrics.items()}
            self._window = self._window.added({**told, "padding": padding})
        self._pending = []
        return self._window

    def close(self, step: int) -> dict[str, float]:
        """Returns the means, and begins the next window."""
        scalars = self.check(step).means()
        seconds = time.perf_counter() - self._start
        scalars["examples_per_second"] = self._counted * self._batch_size / seconds
        self._window = Window()
        self.restart()
        return scalars


class _StopSignals:
    """Turns SIGTERM and SIGINT into a flag that the loop reads between two steps."""

    _received: int = 0

    def __enter__(self) -> "_StopSignals":
        self._previous: dict[int, Any] = {}
        if jax.process_count() > 1:
            return self
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._previous[number] = signal.signal(number, self._receive)
            except ValueError:  # Not the main thread: the caller handles signals.
                break
        return self

    def received_by(self, step: int) -> int:
        """Returns the signal after which the run stops now, or 0.

        Of many hosts one may get SIGTERM some steps before the others: JAX's
        coordination service listens for it, and names a step at which all stop.
        """
        if jax.process_count() > 1:
            stop = multihost_utils.reached_preemption_sync_point(step)
            return signal.SIGTERM if stop else 0
        return self._received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._received:  # Asked twice: stop at once, without saving.
            raise Interrupted(number)
        self._received = number

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._received and kind is None:
            # It came while the last state was saved: whoever was there before hears it.
            signal.raise_signal(self._received)
