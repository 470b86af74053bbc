"""Who waits for a head's scores is told where the engine fails, and none waits on."""

import threading
from types import SimpleNamespace
from typing import Any

from jaxprompt.serve.slots.engine import NoEngine
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.scheduler import Scheduler, Scoring


class Broken:
    """Heads that fail at the first batch."""

    rows, compiled = 2, 0

    def score(self, rows: Any) -> Any:
        raise RuntimeError("no memory")


def test_texts_in_the_batch_and_behind_it_are_told(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda failed: None)
    labels: Any = Broken()
    scheduler = Scheduler(NoEngine("bert"), labels, Metrics("bert"))
    member = SimpleNamespace(group=0)
    row: Any = SimpleNamespace(
        member=member, width=8, batch=SimpleNamespace(input_segments=[1])
    )
    told: list[Any] = []
    scheduler.score(*(Scoring("a", row, told.append) for _ in range(3)))
    scheduler.start()
    scheduler.join(timeout=10)
    assert told == ["failed"] * 3
    assert str(scheduler.failure) == "no memory"
