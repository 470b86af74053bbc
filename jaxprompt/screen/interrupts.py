"""SIGINT and SIGTERM as one exception, from a command's first import to its end."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_AGAIN = 0.05
"""Seconds until a signal comes again that Python could not raise where it came."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM asked the process to stop.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


@contextlib.contextmanager
def interruptible(*, ends_process: bool) -> Iterator[None]:
    """Raises `Interrupted` in its body at SIGINT and SIGTERM.

    A signal that the process was started to ignore stays ignored. Outside of the main
    thread nothing changes, for there Python sets no handlers.

    Args:
        ends_process: Whether the process ends after the body. Then a signal that comes
            while Python shuts down ends it at once, without a traceback; otherwise the
            signals mean again what they meant before.

    Raises:
        Interrupted: At a signal. Extension modules make another error of an exception
            that comes while they are imported: this stands for it too.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        raise Interrupted(number)

    previous = {}
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        try:
            previous[number] = signal.signal(number, receive)
        except ValueError:  # Not the main thread: the caller handles signals.
            break
    show_others = sys.unraisablehook
    sys.unraisablehook = mine = _send_again(show_others)
    try:
        yield
    except BaseException as error:
        if received and not isinstance(error, Interrupted):
            raise Interrupted(received[0]) from error
        raise
    finally:
        # A body that failed may have put its own there, for threads that still write.
        if sys.unraisablehook is mine:
            sys.unraisablehook = show_others
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if ends_process else handler)


def _send_again(show_others: Any) -> Any:
    """Makes the hook of what is raised where nothing can catch it.

    A signal may come while Python calls back, as JAX's after a garbage collection.
    What that raises is dropped, and the process would go on.
    """

    def hook(raised: Any) -> None:
        if not isinstance(raised.exc_value, Interrupted):
            show_others(raised)
            return
        # A moment later, when the callback is over; this takes 10 ms to import.
        import threading

        again = (os.getpid(), raised.exc_value.signal)
        timer = threading.Timer(_AGAIN, os.kill, again)
        timer.daemon = True
        timer.start()

    return hook
