"""What the routes answer with: the engine, the prompts, the limits and the keys."""

import concurrent.futures
import dataclasses
import time

from jaxprompt.data.vocabulary.chat import ChatTemplate
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.models.quantise import Table
from jaxprompt.serve.bank import Bank, Way
from jaxprompt.serve.slots.engine import Engine
from jaxprompt.serve.slots.label_engine import LabelEngine
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.scheduler import Scheduler


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may ask for.

    Attributes:
        body: Bytes of a request.
        tokens: Tokens of an answer.
        seconds: From a request to the end of its answers.
    """

    body: int = 2**20
    tokens: int = 256
    seconds: float = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """What the routes answer with.

    Attributes:
        model: The model's name: asked without a prompt.
        fingerprint: Identity of its weights.
        vocabulary: Turns words into ids, and back.
        table: The frozen embeddings.
        template: Its chat template; None where it has none.
        engine: What can be asked of it: its sizes, not its slots.
        bare: The model without a prompt; None where it writes no words.
        bare_chat: The same behind a conversation, which the chat template has written.
        labels: What can be asked of heads: its sizes.
        bank: The prompts.
        scheduler: Answers.
        loader: The one thread that loads and unloads prompts.
        metrics: Counts.
        limits: What a request may ask for.
        key: Of clients; None for none.
        admin_key: Of who loads and unloads prompts; None for nobody.
    """

    model: str
    fingerprint: str
    vocabulary: Vocabulary
    table: Table
    template: ChatTemplate | None
    engine: Engine
    bare: Way | None
    bare_chat: Way | None
    labels: LabelEngine
    bank: Bank
    scheduler: Scheduler
    loader: concurrent.futures.Executor
    metrics: Metrics
    limits: Limits = dataclasses.field(default_factory=Limits)
    key: str | None = None
    admin_key: str | None = None
    started: int = dataclasses.field(default_factory=lambda: int(time.time()))

    @property
    def compiled(self) -> int:
        """How many programs were compiled so far."""
        return self.engine.compiled + self.labels.compiled
