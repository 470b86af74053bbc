"""TensorBoard's event files, cut back to the step where a resumed run goes on."""

import io
from pathlib import Path

from jaxprompt.atomic import write_atomically


def cut_event_files(folder: Path, last_step: int) -> None:
    """Drops all events behind a step, so that a resumed run shows no step twice.

    TensorBoard itself would show both: it knows nothing of the checkpoint that a
    process went on from. The events that stay keep their times.

    Args:
        folder: Folder of the event files; it need not exist.
        last_step: The last step whose events stay.
    """
    # Imported here: TensorBoard brings TensorFlow, which only a log needs in training.
    from tensorboard.backend.event_processing.event_file_loader import (
        LegacyEventFileLoader,
    )
    from tensorboard.summary.writer.record_writer import RecordWriter

    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept, left = io.BytesIO(), 0
        writer = RecordWriter(kept)
        # A record that a kill has cut ends the file.
        for event in LegacyEventFileLoader(str(path)).Load():
            if event.step <= last_step:
                writer.write(event.SerializeToString())
                left += event.HasField("summary")
        if left:
            write_atomically(path, kept.getvalue())
        else:
            path.unlink()
