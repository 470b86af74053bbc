"""Answers of a conversation that share a row are learned as each is alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chat_tasks import CHATML, THINKING, TRIMMED, MakeChats, make_chats

from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.threads import Threads
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.shapes import Batch
from jaxprompt.train.loss import loss, token_shares

make = pytest.fixture(make_chats)

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one two three?"},
    {"role": "assistant", "content": "it is 2"},
    {"role": "user", "content": "five six?"},
    {"role": "assistant", "content": "seven"},
    {"role": "user", "content": "eight?"},
    {"role": "assistant", "content": "nine, ten"},
]
OTHER = TALK[1:3]
VOCAB = 1024  # More than the vocabulary has, and what the table has rows for.
SOFT = np.array([VOCAB, VOCAB + 1], np.int32)


@pytest.mark.parametrize("template", [CHATML, TRIMMED])
@pytest.mark.parametrize("pack", [False, True])
def test_loss_and_gradient_are_those_of_each_answer_alone(
    make: MakeChats, template: str, pack: bool
):
    task = make({"messages": TALK}, {"messages": OTHER}, template=template)
    shared = Threads(task, "train").in_shared_rows(120, 120)
    assert (task.num_examples("train"), shared.num_examples("train")) == (4, 2)
    backbone = Decoder(
        GPT2Config(
            vocab_size=VOCAB,
            width=32,
            heads=4,
            ffn_width=48,
            layers=2,
            positions=800,
        )
    )
    assert backbone.vocab_rows == VOCAB
    model = backbone.init(jax.random.key(0))
    rows = jax.random.normal(jax.random.key(1), (len(SOFT), 32))

    def objective(prompt: Prompt, batch: Batch) -> jax.Array:
        params = {"model": model, "prompt": prompt}
        return loss(backbone, params, batch, token_shares(batch, 1))[0]

    def batch_of(task: Any) -> Batch:
        count = 1 if pack else task.num_examples("train")
        room = Lengths(500 if pack else 120, 240 if pack else 120)
        stream = train_batches(
            task, "train", room, SOFT, batch_size=count, seed=0, pack=pack
        )
        return jax.tree.map(jnp.asarray, next(stream)[0])

    step = jax.jit(jax.value_and_grad(objective))
    prompt = make_prompt(0.1 * rows)
    found, gradient = step(prompt, batch_of(shared))
    expected, alone = step(prompt, batch_of(task))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    scale = np.abs(alone.rows).max()
    assert scale > 1e-4
    np.testing.assert_allclose(gradient.rows, alone.rows, atol=1e-5 * scale)


def test_the_row_holds_what_the_examples_hold(make: MakeChats):
    task = make({"messages": TALK})
    pairs = [*task.pairs("train", range(3))]
    shared = Threads(task, "train").in_shared_rows(90, 90)
    (pair,) = shared.pairs("train", [0])
    assert pair.inputs.tolist() == pairs[0].inputs.tolist()
    whole = np.concatenate([pair.inputs, pair.targets])
    last = np.concatenate([pairs[2].inputs, pairs[2].targets])
    assert whole.tolist() == last.tolist()
    row = layout_of(shared, Lengths(90, 90), SOFT).rows([[pair]])
    learned = row.targets[row.weights > 0].tolist()
    assert learned == [token for one in pairs for token in one.targets.tolist()]
    assert shared.source.place("train", 0).endswith("chats.jsonl:1: messages[2]")
    (note,) = shared.source.notes("train")
    assert note.startswith("3 answers are learned in 1 row: ")


def test_what_has_no_room_or_other_tokens_has_a_row_of_its_own(make: MakeChats):
    task = make({"messages": TALK}, {"messages": OTHER})
    pairs = [*task.pairs("train", range(4))]
    threads = Threads(task, "train")
    begins = [len(pair.inputs) for pair in pairs]
    ends = [len(pair.inputs) + len(pair.targets) for pair in pairs]

    def sizes(inputs: int, targets: int) -> list[int]:
        made = threads.in_shared_rows(inputs, targets)
        rows = made.pairs("train", range(made.num_examples("train")))
        return [len(pair.targets) for pair in rows]

    apart = [len(pair.targets) for pair in pairs]
    for_two, for_three = ends[1] - begins[0], ends[2] - begins[0]
    assert sizes(90, for_three) == [for_three, apart[3]]
    assert sizes(90, for_three - 1) == [for_two, *apart[2:]]
    assert sizes(90, max(apart)) == apart
    # An input that will be cut is another text than the one that the next begins with.
    assert sizes(begins[0] - 1, 90) == apart
    # A room of 80 holds three answers and one of 40 two, which saves rows; one of 20
    # holds one, as one of 10 does, and is more padding.
    assert threads.best_room(90, 10, most=80) == 80
    assert threads.best_room(90, 10, most=79) == 40
    assert threads.best_room(90, 10, most=39) == 10
    assert threads.best_room(90, 10, most=5) == 10
    # This template writes an answer otherwise once others follow.
    task = make({"messages": TALK}, template=THINKING)
    assert Threads(task, "train").in_shared_rows(200, 200) is task
