"""Raw files -> Batch; the only room that imports seqio, t5 and TensorFlow."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's page of start-up notes off the screen, unless it fails.

    Its C++ logger writes to the file descriptor before any log level is read.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        screen = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(screen, notes.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


with _quiet_start():
    import tensorflow as tf

    # TensorFlow only reads files here: the accelerator's memory belongs to JAX.
    tf.config.set_visible_devices([], "GPU")
