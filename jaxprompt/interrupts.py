"""SIGINT and SIGTERM as one exception, from a command's first import to its end."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

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
    try:
        yield
    except BaseException as error:
        if received and not isinstance(error, Interrupted):
            raise Interrupted(received[0]) from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if ends_process else handler)
