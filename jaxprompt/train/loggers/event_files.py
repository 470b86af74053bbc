"""TensorBoard's event files, written and cut back without TensorFlow."""

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from jaxprompt.files.atomic import write_atomically
from jaxprompt.train.loggers.logger import LogStart

# Their classes are made when they are imported.
_EVENTS: Any = event_pb2
_SUMMARIES: Any = summary_pb2

_VERSION = "brain.Event:2"
"""Of the format of these files; the first event of each says it."""

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
"""A record is its length, this number's checksum, an event, and its checksum."""


class EventFile:
    """A new file of scalars by step, which TensorBoard shows as curves."""

    def __init__(self, folder: Path):
        """Opens the file.

        Args:
            folder: Folder of a run's event files, which must exist. TensorBoard reads
                all of them, in the order of their names.
        """
        started = f"{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / f"events.out.tfevents.{started}").open("ab")
        self._records = RecordWriter(self._file)
        self._write(_EVENTS.Event(wall_time=time.time(), file_version=_VERSION))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars by name; they are kept as float32."""
        values = [
            _SUMMARIES.Summary.Value(tag=x, simple_value=y) for x, y in scalars.items()
        ]
        summary = _SUMMARIES.Summary(value=values)
        self._write(_EVENTS.Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def sync(self) -> None:
        """Returns when all that was written is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        self._file.close()


def open_board(start: LogStart) -> EventFile:
    """Writes a file for TensorBoard, in WORKDIR/tensorboard."""
    folder = start.workdir / "tensorboard"
    folder.mkdir(exist_ok=True)
    cut_event_files(folder, start.first_step)
    return EventFile(folder)


def cut_event_files(folder: Path, last_step: int) -> None:
    """Drops all events behind a step, so that a resumed run shows no step twice.

    TensorBoard itself would show both: it knows nothing of the checkpoint that a
    process went on from. The events that stay keep their bytes.

    Args:
        folder: Folder of the event files; it need not exist.
        last_step: The last step whose events stay.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept = [
            (record, event.HasField("summary"))
            for record, event in _read_records(path)
            if event.step <= last_step
        ]
        if any(is_summary for _, is_summary in kept):
            write_atomically(path, b"".join(record for record, _ in kept))
        else:
            path.unlink()


def read_events(path: Path) -> Iterator[Any]:
    """Yields the events of a file; a record that a kill has cut ends it."""
    return (event for _, event in _read_records(path))


def _read_records(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yields each whole record of a file, as bytes and as the event in it.

    Source: TensorFlow, tensorflow/core/lib/io/record_writer.h.
    """
    content, start = path.read_bytes(), 0
    while start + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, start)
        first = start + _LENGTH.size + _CHECKSUM.size
        end = first + length + _CHECKSUM.size
        if end > len(content):
            return
        event = _EVENTS.Event.FromString(content[first : first + length])
        yield content[start:end], event
        start = end
