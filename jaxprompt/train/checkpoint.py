"""Checkpoints of {step, what trains, optimizer, position}; all of orbax is here."""

import asyncio.log
import contextlib
import dataclasses
import errno
import functools
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils

from jaxprompt.files.atomic import write_atomically
from jaxprompt.train.checksums import NAME as CHECKSUMS
from jaxprompt.train.checksums import find_damage, write_checksums
from jaxprompt.train.progress import Progress, read_progress
from jaxprompt.train.step import TrainState

_SAVING = ".saving"
"""File that is there while a checkpoint is written; it holds the step."""

_REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EIO,
)


def most_kept(num_saves: int, *, has_best: bool) -> int:
    """Returns how many checkpoints of one member lie in a folder at a time, at most.

    They are the last two, the best, and the one that is being written.

    Args:
        num_saves: Checkpoints that the run writes.
        has_best: Whether it chooses a step by validation.
    """
    return min(num_saves, 4 if has_best else 3)


def keep_last(folder: Path) -> list[int]:
    """Removes all checkpoints but the last, and the bests that it names.

    A run goes on from these to more steps. What an unfinished run keeps besides, for
    the case that the last is damaged, is not worth its place where states are large.

    Args:
        folder: Of a run that is finished, and that no process writes.

    Returns:
        The steps that are kept, in order; none where there is no checkpoint.

    Raises:
        OSError: If one cannot be removed.
    """
    steps = _saved_in(folder)
    last = steps[-1:]
    kept = {*last, *(best for step in last for best in _needs(folder / str(step)))}
    for step in steps:
        if step not in kept:
            # Half removed, it is no damage.
            (folder / str(step) / CHECKSUMS).unlink(missing_ok=True)
            shutil.rmtree(folder / str(step))
    return sorted(kept)


class Checkpoints:
    """The last two checkpoints of a run and the bests that they name, in a folder.

    Writes are atomic, by orbax: a killed save leaves the ones before. Each checkpoint
    holds the SHA-256 of its files and is read only where they are right. Nothing of the
    frozen model is saved.

    Attributes:
        notes: What was found damaged when the folder was opened, and what the last
            checkpoint does not vouch for, a line each.
    """

    def __init__(
        self,
        folder: Path,
        *,
        inputs: Mapping[str, str] | None = None,
        formerly: Mapping[str, str] | None = None,
    ):
        """Opens a folder, and removes the checkpoints that cannot be used.

        Args:
            folder: Where checkpoints are kept; made if needed.
            inputs: Name -> hash of everything that the run reads, as its data. To
                resume with another hash is refused.
            formerly: Name -> hash that earlier versions took of some of them, of a part
                of what they hold: a run that has it is resumed, with a note.

        Raises:
            ValueError: If there are checkpoints, and each is damaged.
        """
        self._folder = folder.absolute()
        self._inputs = dict(inputs or {})
        self._formerly = dict(formerly or {})
        self._folder.mkdir(parents=True, exist_ok=True)
        self.notes = _drop_unusable(self._folder)
        self._is_open = False
        self._needed: dict[int, set[int]] = {}
        self._failed = False

    @functools.cached_property
    def _checkpointer(self) -> Any:
        """That of orbax, opened when a checkpoint is first written or read."""
        found = _orbax().training.Checkpointer(
            str(self._folder), cleanup_tmp_directories=True
        )
        self._is_open = True
        return found

    @property
    def last_step(self) -> int | None:
        """Step of the last checkpoint; None where there is none."""
        steps = self._steps()
        return steps[-1] if steps else None

    def describe_last(self) -> str:
        """Says where the last state is that was saved, for error messages."""
        if self.last_step is None:
            return f"nothing was saved in {self._folder} yet"
        return f"the state after step {self.last_step} is kept in {self._folder}"

    def save(self, state: TrainState, progress: Progress) -> None:
        """Saves a state, and returns when it is on disk with its checksums.

        Args:
            state: The state to resume from.
            progress: The rest of what resuming needs.

        Raises:
            OSError: If it cannot be written; the checkpoints before it stay.
        """
        step = int(state.step)
        if self.last_step == step:
            return
        before = self.describe_last()
        verbosity = logging.get_verbosity()
        # What orbax logs, with a traceback, it raises as well.
        logging.set_verbosity(logging.FATAL)
        hook = sys.unraisablehook
        sys.unraisablehook = functools.partial(_hide_late_writes, hook)
        try:
            self._write(step, state, progress)
        # orbax raises ValueError for what the file system refuses. Its threads may tell
        # of it later, with tracebacks, so they stay quiet to the end of this run.
        except (OSError, ValueError) as err:
            self._failed = True
            asyncio.log.logger.setLevel("CRITICAL")
            raise OSError(
                f"cannot save step {step} in {self._folder}: {_reason(err)}. Make room "
                f"there, and the same command resumes: {before}"
            ) from err
        logging.set_verbosity(verbosity)
        sys.unraisablehook = hook

    def _write(self, step: int, state: TrainState, progress: Progress) -> None:
        checkpointer = self._checkpointer
        # A step that this file names, and that has no checksums, was not finished.
        write_atomically(self._folder / _SAVING, str(step).encode())
        about: Any = {
            "progress": dataclasses.asdict(progress),
            "inputs": self._inputs,
        }
        # orbax saves no array without entries, such as the rows of a prompt of none.
        full: Any = jax.tree.map(lambda leaf: leaf if leaf.size else None, state)
        checkpointer.save(step, full, force=True, custom_metadata=about)
        checkpointer.wait()
        if jax.process_index() == 0:
            write_checksums(self._folder / str(step))
            (self._folder / _SAVING).unlink()
        # Only now: until its checksums are there, the ones before are all there is.
        *others, last = self._steps()
        kept = {last, *others[-1:]}
        self._needed[step] = _bests(progress, step)
        for saved in tuple(kept):
            if saved not in self._needed:
                self._needed[saved] = _needs(self._folder / str(saved))
            kept |= self._needed[saved]
        for old in others:
            if old not in kept:
                if jax.process_index() == 0:  # Half removed, it is no damage.
                    (self._folder / str(old) / CHECKSUMS).unlink(missing_ok=True)
                checkpointer.delete(old)

    def latest(self, like: TrainState) -> tuple[TrainState, Progress] | None:
        """Loads the last checkpoint, or returns None where there is none yet.

        Args:
            like: A state of the same run: it says the shapes, types and shardings.

        Raises:
            ValueError: If the checkpoint is of another prompt or optimizer, or of
                other inputs.
        """
        step = self.last_step
        if step is None:
            return None
        saved: Any = self._checkpointer.metadata(step).custom_metadata
        self._check_inputs(saved["inputs"])
        return self._read(step, like), read_progress(saved["progress"])

    def load(self, step: int, like: TrainState) -> TrainState:
        """Loads the checkpoint of a step once its checksums are verified.

        Args:
            step: Of a checkpoint that is kept.
            like: As of `latest`.

        Raises:
            ValueError: If it is damaged, or of another prompt or optimizer.
        """
        problem = find_damage(self._folder / str(step))
        if problem is not None:
            raise ValueError(
                f"checkpoint {step} in {self._folder}, a best one, is damaged "
                f"({problem}): run the same command again, which goes on from the last "
                "checkpoint that does not need it"
            )
        return self._read(step, like)

    def _read(self, step: int, like: TrainState) -> TrainState:
        saved: Any = self._checkpointer.metadata(step).metadata
        there, here = _leaves(saved), _leaves(like)
        for name in sorted(there.keys() | here.keys()):
            shapes = [
                tuple(leaves[name].shape) if name in leaves else "not"
                for leaves in (there, here)
            ]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"the checkpoint of step {step} in {self._folder} "
                    f"does not fit this run: {name} is {shapes[0]} there and "
                    f"{shapes[1]} here; train with the settings that it was made with, "
                    "or in another folder"
                )
        # By the structure on disk: orbax reads no other, and what is empty there or
        # here, as a head without weights, does not matter.
        loaded = _leaves(
            self._checkpointer.load(step, _at_each_leaf(saved, _abstract(like)))
        )
        return jax.tree.map_with_path(
            lambda path, leaf: loaded.get(_name(path), leaf), like
        )

    def close(self) -> None:
        """Waits for what is being written."""
        if not self._is_open:
            return
        if not self._failed:
            self._checkpointer.close()
            return
        # orbax tells again what `save` has told.
        with contextlib.suppress(OSError, ValueError):
            self._checkpointer.close()

    def _steps(self) -> list[int]:
        if not self._is_open and not _saved_in(self._folder):
            return []
        return [checkpoint.step for checkpoint in self._checkpointer.checkpoints]

    def _check_inputs(self, saved: Mapping[str, str]) -> None:
        for name in sorted(saved.keys() | self._inputs.keys()):
            then, now = saved.get(name), self._inputs.get(name)
            if then != now and then is not None and then == self._formerly.get(name):
                self.notes.append(
                    f"{name} is as it was when this run started as far as an earlier "
                    "version looked: only a part of it was hashed then; from the next "
                    "checkpoint on, all of it is"
                )
            elif then != now:
                raise ValueError(
                    f"{name} changed since this run started (SHA-256 {_short(then)}, "
                    f"now {_short(now)}): put back what it was to resume, or train in "
                    "another workdir"
                )


def _orbax() -> Any:
    """Returns orbax's interface, whose import takes a third of a second.

    A run that begins does not need it before its first checkpoint.
    """
    from orbax.checkpoint import v1

    return v1


def _drop_unusable(folder: Path) -> list[str]:
    """Removes the checkpoints that a run cannot go on from; says which, and why.

    Usable is a checkpoint whose files are as saved, and those of the bests it names. Of
    the ones before the last usable, only the damaged go.

    Raises:
        ValueError: If there are some, and none is usable.
    """
    steps = _saved_in(folder)
    cut_short = _cut_short(folder, steps)
    saved = [step for step in steps if step not in cut_short]
    usable, damage = _find_usable(folder, saved)
    if saved and usable is None:
        told = "; ".join(f"{step}: {found}" for step, found in damage.items())
        raise ValueError(
            f"every checkpoint in {folder} is damaged ({told}): put the files back "
            "from a backup, or remove that folder to train again from the start"
        )
    notes = [
        f"checkpoint {step} in {folder} is damaged ({found}): it is removed, and "
        f"training goes on from step {usable}"
        for step, found in damage.items()
        # An older one without checksums was about to be removed anyway.
        if step > (usable or 0) or (folder / str(step) / CHECKSUMS).exists()
    ]
    _remove([folder / str(step) for step in (*damage, *cut_short)])
    return notes


def _saved_in(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints that lie in a folder, whole or damaged."""
    names = (path.name for path in folder.glob("[0-9]*"))
    return sorted(int(name) for name in names if name.isdigit())


def _find_usable(
    folder: Path, steps: Sequence[int]
) -> tuple[int | None, dict[int, str]]:
    """Returns the last usable step, and what is wrong with each that is not."""
    damage = {
        step: found for step in steps if (found := find_damage(folder / str(step)))
    }
    for step in reversed(steps):
        if step in damage:
            continue
        needed = sorted(_needs(folder / str(step)))
        lost = [best for best in needed if best in damage or best not in steps]
        if not lost:
            return step, dict(sorted(damage.items()))
        found = damage.get(lost[0], "its folder is missing")
        damage[step] = f"its best, checkpoint {lost[0]}, is lost: {found}"
    return None, dict(sorted(damage.items()))


def _cut_short(folder: Path, steps: Sequence[int]) -> set[int]:
    """Returns the step that a process was saving when it was killed, if any."""
    try:
        saving = int((folder / _SAVING).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return set()
    done = (folder / str(saving) / CHECKSUMS).exists()
    return set() if done or saving not in steps else {saving}


def _remove(folders: Sequence[Path]) -> None:
    """Removes folders; of several hosts the first does, once all have read them."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("checkpoints verified")
    if jax.process_index() == 0:
        for folder in folders:
            shutil.rmtree(folder)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("damaged checkpoints removed")


def _needs(folder: Path) -> set[int]:
    """Returns the steps of the bests that a checkpoint names, but for itself."""
    saved: Any = _orbax().metadata(str(folder)).custom_metadata
    return _bests(read_progress(saved["progress"]), int(folder.name))


def _bests(progress: Progress, step: int) -> set[int]:
    return {member.best_step for member in progress.members} - {0, step}


def _hide_late_writes(tell_others: Callable[[Any], object], raised: Any) -> None:
    """Drops what TensorStore's threads raise when a save has failed before they end.

    They report to the event loop that orbax closed when the first write failed, which
    nothing can catch: Python hands such an exception to `sys.unraisablehook`.
    """
    if str(raised.exc_value) != "Event loop is closed":
        tell_others(raised)


def _reason(err: Exception) -> str:
    """Returns what the file system said, which may be deep in a long message."""
    if isinstance(err, OSError) and err.strerror:
        return err.strerror
    said = (os.strerror(number) for number in _REFUSALS)
    known = [text for text in said if text in str(err)]
    return known[0] if known else " ".join(str(err).split())[:200]


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]


def _leaves(tree: Any) -> dict[str, Any]:
    """Returns each leaf that holds something by its path, as orbax names it too."""
    return {
        _name(path): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
        if math.prod(leaf.shape)
    }


def _at_each_leaf(tree: Any, named: Mapping[str, Any]) -> Any:
    """Puts what is named after a leaf's path in its place."""
    return jax.tree.map_with_path(lambda path, _: named[_name(path)], tree)


def _abstract(tree: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns shape, type and sharding of each leaf by its path."""
    return {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for name, leaf in _leaves(tree).items()
    }


def _name(path: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
