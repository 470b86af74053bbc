"""How long a run lasts, and how often it logs, evaluates and saves."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """How long a run lasts and how often it does what besides steps; all in steps.

    Attributes:
        steps: Length of the run.
        log_every: Between lines of the log, each a mean over these steps.
        evaluate_every: Between evaluations; 0 for none.
        checkpoint_every: Between checkpoints; every evaluation saves one too.
        patience: Evaluations without a better score after which the run stops early,
            each member of a bank for itself; 0 for never.
    """

    steps: int
    log_every: int = 10
    evaluate_every: int = 0
    checkpoint_every: int = 1000
    patience: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.steps} steps: a run has 1 or more")
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(
                    f"{field.name} {getattr(self, field.name)}: use 0, for never, or "
                    "more"
                )

        if self.patience and not self.evaluate_every:
            raise ValueError(
                f"patience {self.patience}, but nothing is evaluated: set "
                "evaluate_every, or leave patience out"
            )

    @property
    def num_saves(self) -> int:
        """Checkpoints that the whole run writes, unless a signal adds one."""
        every = {n for n in (self.evaluate_every, self.checkpoint_every) if n}
        due = {step for n in every for step in range(n, self.steps + 1, n)}
        return len({*due, self.steps})
