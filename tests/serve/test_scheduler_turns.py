"""Whose turn it is: while a long text is read, others' answers go on."""

import dataclasses

from byte_vocabulary import byte_vocabulary
from slot_models import GPT2, draw_params

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.serve.slots.engine import GREEDY
from jaxprompt.serve.slots.label_engine import LabelEngine
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.scheduler import Asked, Scheduler
from jaxprompt.serve.slots.slot_engine import SlotEngine

WRITTEN = [7] * 9


def test_answers_go_on_while_a_long_text_is_read():
    config = dataclasses.replace(GPT2, positions=512)
    backbone, params = Decoder(config), draw_params(config)
    engine = SlotEngine(backbone, params, slots=2, capacity=512, piece=64)
    labels = LabelEngine(backbone, params, typed=False)
    scheduler = Scheduler(engine, labels, Metrics("gpt2"))
    bare, told = engine.read(None), []

    def ask(name: str, length: int) -> Asked:
        def tell(piece) -> None:
            told.append(name)
            if name == "long" and piece.finish:
                scheduler.close()

        most, forced = len(WRITTEN), WRITTEN
        return Asked(
            *(name, bare, [5] * length, length, byte_vocabulary(), (), most, GREEDY),
            *(tell,),
            forced=forced,
        )

    scheduler.submit(ask("short", 4), ask("long", 400))
    scheduler.start()
    scheduler.join(timeout=60)
    # The long one is seven pieces, and two of them are read between two steps.
    assert told == ["short"] * 3 + ["short", "long"] * 6 + ["long"] * 3
