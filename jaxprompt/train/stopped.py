"""The error of a run that a signal stopped."""

import signal


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int, step: int, saved: bool):
        where = "its state is saved" if saved else "nothing was saved"
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name} after step {step}: {where}")
        self.signal = number
