"""Answers in slots are those of a whole pass, whoever shares the batch."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slot_models import (
    GEMMA,
    GPT2,
    behind,
    draw_params,
    draw_prompt,
    lead_of,
    whole_pass,
)

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.serve.slots.engine import GREEDY, Sampling
from jaxprompt.serve.slots.slot_engine import SlotEngine

COUNT = 5
TEXTS = {"none": [3, 9, 4], "one": [11], "short": [8, 8, 2, 5, 30, 31], "deep": [60]}
TEXTS["both"] = [7, 7]
TEXTS["last"] = [12, 3]
TEXTS["gated"] = [21, 5, 6]
TEXTS["gated last"] = [9, 13]
SAMPLED = Sampling(temperature=0.8, top_p=0.9, top_k=20, seed=7, choice=1)


@pytest.fixture(scope="module", params=[GPT2, GEMMA], ids=["gpt2", "gemma"])
def model(request):
    backbone = Decoder(request.param)
    last = [False] * (request.param.layers - 1) + [True]
    prompts = {
        "none": None,
        "one": draw_prompt(backbone, 1),
        "short": draw_prompt(backbone, 6),
        "deep": draw_prompt(backbone, 0, 5),
        "both": draw_prompt(backbone, 3, 4),
        "last": draw_prompt(backbone, 2, 4, layers=last),
        "gated": draw_prompt(backbone, 3, 5, gated=True),
        "gated last": draw_prompt(backbone, 0, 6, layers=last, gated=True),
    }
    return backbone, draw_params(request.param), prompts


@pytest.fixture(scope="module")
def engine(model):
    backbone, params, _ = model
    engine = SlotEngine(backbone, params, slots=4, capacity=48, piece=16)
    engine.warm()
    return engine


@pytest.fixture(scope="module")
def ready(model, engine):
    backbone, _, prompts = model
    return {name: read(engine, backbone, prompt) for name, prompt in prompts.items()}


@pytest.fixture(scope="module")
def rows(model):
    """Each text behind its prompt."""
    backbone, _, prompts = model
    return {name: behind(backbone, prompts[name], ids) for name, ids in TEXTS.items()}


def read(engine, backbone, prompt):
    return engine.read(prompt, lead_of(backbone, prompt))


def fill(engine, slot, ready, row, how=GREEDY):
    lead = len(ready.lead)
    assert tuple(row[:lead]) == ready.lead
    engine.fill(slot, ready, row[lead:], how)


def write(engine, slots, count=COUNT) -> dict[int, list[int]]:
    """Lets some slots write so many tokens."""
    active = np.isin(np.arange(engine.slots), list(slots))
    chosen = [engine.step(active) for _ in range(count)]
    return {slot: [int(step.ids[slot]) for step in chosen] for slot in slots}


@pytest.mark.parametrize("how", [None, SAMPLED], ids=["greedy", "sampled"])
def test_each_kind_of_prompt_answers_as_a_whole_pass_does(
    model, engine, ready, rows, how
):
    backbone, params, prompts = model
    for name, prompt in prompts.items():
        fill(engine, 2, ready[name], rows[name], how or GREEDY)
        expected = whole_pass(backbone, params, prompt, rows[name], COUNT, how)
        assert write(engine, [2])[2] == expected, name


def test_soft_tokens_stand_anywhere_and_words_may_lead(model, engine):
    backbone, params, prompts = model
    first = backbone.vocab_rows
    soft = [first + number for number in range(6)]
    for lead, rest in (
        ([5, 6, *soft[:2], 7], [*soft[2:4], 9, 4, *soft[4:]]),
        ([], [3, *soft, 8]),
        ([5, *soft], [8]),
        ([5, 6, 7], [11, *soft]),
    ):
        engine.fill(0, engine.read(prompts["short"], lead), rest, GREEDY)
        row = [*lead, *rest]
        expected = whole_pass(backbone, params, prompts["short"], row, COUNT)
        assert write(engine, [0])[0] == expected


def test_rows_that_join_and_leave_change_nobody_s_answer(engine, ready, rows):
    def start(slot, name, how=GREEDY):
        fill(engine, slot, ready[name], rows[name], how)

    alone = {}
    for name in TEXTS:
        for how in (GREEDY, SAMPLED):
            start(0, name, how)
            alone[name, how] = write(engine, [0], 8)[0]
    start(0, "deep", SAMPLED)
    said = write(engine, [0], 2)
    start(3, "short")
    start(1, "none", SAMPLED)
    start(2, "gated")
    for slot, answer in write(engine, [0, 1, 2, 3], 3).items():
        said[slot] = said.get(slot, []) + answer
    start(0, "both", SAMPLED)  # The first row was cancelled.
    joined = write(engine, [0, 1, 2, 3], 3)
    assert joined[0] == alone["both", SAMPLED][:3]
    assert said[1] + joined[1] == alone["none", SAMPLED][:6]
    assert said[2] + joined[2] == alone["gated", GREEDY][:6]
    assert said[3] + joined[3] == alone["short", GREEDY][:6]
    assert said[0] == alone["deep", SAMPLED][:5]


def test_long_texts_are_read_in_pieces_while_others_write(model, engine, ready):
    backbone, params, prompts = model
    first = backbone.vocab_rows
    slots = dict(enumerate(("both", "gated", "short")))
    rows = {n: behind(backbone, prompts[x], [*range(2, 22)]) for n, x in slots.items()}
    # Soft tokens stand in later pieces too, and one of them behind all words.
    rows[2] = [*rows[2][:5], *range(2, 22), first + 3, 9, first + 5]
    expected = {
        slot: whole_pass(backbone, params, prompts[name], rows[slot], 8)
        for slot, name in slots.items()
    }
    for slot, name in slots.items():
        fill(engine, slot, ready[name], rows[slot])
    pieces = {0: 0, 1: 0, 2: 0}
    said = write(engine, [0], 2)  # The first step reads what is not read yet.
    for slot in (1, 2):
        while not engine.is_read(slot):
            assert engine.read_piece(slot) == 16
            pieces[slot] += 1
            said[0] += write(engine, [0], 1)[0]
    assert pieces == {0: 0, 1: 2, 2: 2}
    for slot, answer in write(engine, [0, 1, 2], 8).items():
        assert (said.get(slot, []) + answer)[:8] == expected[slot]


def test_another_prompt_or_text_compiles_nothing(model, engine, ready):
    backbone, _, _ = model
    before = engine.compiled
    for soft, deep in ((2, 0), (9, 0), (0, 3), (2, 7)):
        prompt = draw_prompt(backbone, soft, deep, seed=1, gated=deep == 3)
        other = read(engine, backbone, prompt)
        fill(engine, 1, other, behind(backbone, prompt, [5, 6]), SAMPLED)
        write(engine, [1])
    assert engine.compiled == before


def test_a_prompt_longer_than_any_before_makes_room_once(model):
    backbone, params, prompts = model
    engine = SlotEngine(backbone, params, slots=1, capacity=48, piece=16)
    old = read(engine, backbone, prompts["short"])
    long = draw_prompt(backbone, 20)
    grown = read(engine, backbone, long)
    assert (engine.grown, engine.prompt_room) == (1, 32)
    for prompt, ready in ((prompts["short"], old), (long, grown)):
        row = behind(backbone, prompt, [4])
        fill(engine, 0, ready, row)
        expected = whole_pass(backbone, params, prompt, row, COUNT)
        assert write(engine, [0])[0] == expected


def test_a_text_without_words_starts_from_the_prompt(model, engine, ready):
    backbone, params, prompts = model
    row = behind(backbone, prompts["short"], [])
    fill(engine, 0, ready["short"], row)
    expected = whole_pass(backbone, params, prompts["short"], row, COUNT)
    assert write(engine, [0])[0] == expected


def test_log_probabilities_are_told_with_each_token(engine, ready, rows):
    fill(engine, 0, ready["short"], rows["short"])
    step = engine.step(np.arange(4) == 0)
    assert step.ids[0] == step.top_ids[0, 0]
    assert step.log_probs[0] == step.top_log_probs[0, 0]
    assert (np.diff(step.top_log_probs[0]) <= 0).all()


def test_what_cannot_be_served_is_told(model, engine):
    backbone, params, _ = model
    with pytest.raises(ValueError, match=r"prompt width 3 != model width 16"):
        engine.read(make_prompt(jnp.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"a prompt of 40 tokens for slots of 48"):
        read(engine, backbone, draw_prompt(backbone, 40))
    site = backbone.config.sites["decoder"]
    keys = jnp.zeros((site.layers, 2, site.kv_heads, site.head_width))
    gated = make_deep(keys, keys, gate=jnp.zeros((site.layers, 3)))
    with pytest.raises(ValueError, match=r"gates of 3 heads, but .* has 4: they were"):
        engine.read(make_prompt(jnp.zeros((0, 16)), {"decoder": gated}))
    elsewhere = {"encoder": make_deep(keys, keys)}
    with pytest.raises(ValueError, match="keys and values at encoder, but"):
        engine.read(make_prompt(jnp.zeros((0, 16)), elsewhere))
    with pytest.raises(ValueError, match="has 64 positions: take shorter slots"):
        SlotEngine(backbone, params, capacity=65)


def test_not_a_bit_depends_on_the_others_where_that_is_asked_for(model, rows):
    backbone, params, prompts = model
    engine = SlotEngine(backbone, params, slots=4, capacity=48, batch_invariant=True)

    def told(names):
        for slot, name in enumerate(names):
            fill(engine, slot, read(engine, backbone, prompts[name]), rows[name])
        active = np.arange(4) < len(names)
        return [engine.step(active).top_log_probs[0] for _ in range(3)]

    alone = told(["short"])
    np.testing.assert_array_equal(told(["short", "none", "deep", "gated"]), alone)


def test_a_step_copies_no_slots():
    backbone = Decoder(dataclasses.replace(GPT2, layers=8, positions=2048))
    slots = jax.eval_shape(lambda: backbone.start_slots(8, 2048))
    params = jax.eval_shape(backbone.init, jax.random.key(0))

    def compiled(rows, columns):
        step = functools.partial(backbone.step_slots, columns=columns)
        y = jax.ShapeDtypeStruct((rows, backbone.width), jnp.float32)
        active = jax.ShapeDtypeStruct((rows,), bool)
        return jax.jit(step, donate_argnums=1).lower(params, slots, y, active).compile()

    held = 2 * slots.keys.size * slots.keys.dtype.itemsize
    for rows, columns, share in ((8, 2048, 0.25), (4, 2048, 0.125), (1, 128, 0.01)):
        memory = compiled(rows, columns).memory_analysis()
        assert memory.temp_size_in_bytes < share * held
