"""Answers in slots are those of a whole pass, whoever shares the batch."""

import jax.numpy as jnp
import numpy as np
import pytest
from slot_models import GEMMA, GPT2, draw_params, draw_prompt, whole_pass

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.serve.slots.engine import GREEDY, Sampling
from jaxprompt.serve.slots.slot_engine import SlotEngine

COUNT = 5
TEXTS = {"none": [3, 9, 4], "one": [11], "short": [8, 8, 2, 5, 30, 31], "deep": [60]}
TEXTS["both"] = [7, 7]
SAMPLED = Sampling(temperature=0.8, top_p=0.9, top_k=20, seed=7, choice=1)


@pytest.fixture(scope="module", params=[GPT2, GEMMA], ids=["gpt2", "gemma"])
def model(request):
    backbone = Decoder(request.param)
    prompts = {
        "none": None,
        "one": draw_prompt(backbone, 1),
        "short": draw_prompt(backbone, 6),
        "deep": draw_prompt(backbone, 0, 5),
        "both": draw_prompt(backbone, 3, 4),
    }
    return backbone, draw_params(request.param), prompts


@pytest.fixture(scope="module")
def engine(model):
    backbone, params, _ = model
    engine = SlotEngine(backbone, params, slots=4, capacity=48)
    engine.warm()
    return engine


@pytest.fixture(scope="module")
def ready(model, engine):
    return {name: engine.read(prompt) for name, prompt in model[2].items()}


def start(engine, ready, slot, name, how=GREEDY):
    ids = engine.text_ids(ready[name], TEXTS[name], end=1)
    engine.fill(slot, ready[name], ids, how)


def write(engine, slots, count=COUNT) -> dict[int, list[int]]:
    """Lets some slots write so many tokens."""
    active = np.isin(np.arange(engine.slots), list(slots))
    chosen = [engine.step(active) for _ in range(count)]
    return {slot: [int(step.ids[slot]) for step in chosen] for slot in slots}


@pytest.mark.parametrize("how", [None, SAMPLED], ids=["greedy", "sampled"])
def test_each_kind_of_prompt_answers_as_a_whole_pass_does(model, engine, ready, how):
    backbone, params, prompts = model
    for name, prompt in prompts.items():
        start(engine, ready, 2, name, how or GREEDY)
        expected = whole_pass(backbone, params, prompt, TEXTS[name], COUNT, how)
        assert write(engine, [2])[2] == expected, name


def test_rows_that_join_and_leave_change_nobody_s_answer(engine, ready):
    alone = {}
    for name in TEXTS:
        for how in (GREEDY, SAMPLED):
            start(engine, ready, 0, name, how)
            alone[name, how] = write(engine, [0], 8)[0]
    start(engine, ready, 0, "deep", SAMPLED)
    said = write(engine, [0], 2)
    start(engine, ready, 3, "short")
    start(engine, ready, 1, "none", SAMPLED)
    for slot, answer in write(engine, [0, 1, 3], 3).items():
        said[slot] = said.get(slot, []) + answer
    start(engine, ready, 0, "both", SAMPLED)  # The first row was cancelled.
    joined = write(engine, [0, 1, 3], 3)
    assert joined[0] == alone["both", SAMPLED][:3]
    assert said[1] + joined[1] == alone["none", SAMPLED][:6]
    assert said[3] + joined[3] == alone["short", GREEDY][:6]
    assert said[0] == alone["deep", SAMPLED][:5]


def test_another_prompt_or_text_compiles_nothing(model, engine, ready):
    backbone, _, _ = model
    before = engine.compiled
    for soft, deep in ((2, 0), (9, 0), (0, 3), (2, 7)):
        other = engine.read(draw_prompt(backbone, soft, deep, seed=1))
        engine.fill(1, other, engine.text_ids(other, [5, 6], end=1), SAMPLED)
        write(engine, [1])
    assert engine.compiled == before


def test_a_prompt_longer_than_any_before_makes_room_once(model, ready):
    backbone, params, prompts = model
    engine = SlotEngine(backbone, params, slots=1, capacity=48)
    old = engine.read(prompts["short"])
    long = draw_prompt(backbone, 20)
    grown = engine.read(long)
    assert (engine.grown, engine.prompt_room) == (1, 32)
    for prompt, read in ((prompts["short"], old), (long, grown)):
        engine.fill(0, read, engine.text_ids(read, [4], end=1), GREEDY)
        assert write(engine, [0])[0] == whole_pass(backbone, params, prompt, [4], COUNT)


def test_a_text_without_words_starts_from_the_prompt_or_from_the_end(model, engine):
    backbone, params, prompts = model
    read = engine.read(prompts["short"])
    assert engine.text_ids(read, [], end=1) == [backbone.vocab_rows]
    engine.fill(0, read, engine.text_ids(read, [], end=1), GREEDY)
    expected = whole_pass(backbone, params, prompts["short"], [], COUNT)
    assert write(engine, [0])[0] == expected
    assert engine.text_ids(engine.read(None), [], end=1) == [1]


def test_log_probabilities_are_told_with_each_token(model, engine, ready):
    start(engine, ready, 0, "short")
    step = engine.step(np.arange(4) == 0)
    assert step.ids[0] == step.top_ids[0, 0]
    assert step.log_probs[0] == step.top_log_probs[0, 0]
    assert (np.diff(step.top_log_probs[0]) <= 0).all()


def test_what_cannot_be_served_is_told(model, engine):
    backbone, params, _ = model
    with pytest.raises(ValueError, match=r"prompt width 3 != model width 16"):
        engine.read(make_prompt(jnp.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"a prompt of 40 tokens for slots of 48"):
        engine.read(draw_prompt(backbone, 40))
    site = backbone.config.sites["decoder"]
    keys = jnp.zeros((site.layers, 2, site.kv_heads, site.head_width))
    layers = [True] + [False] * (site.layers - 1)
    partly = make_deep(keys, keys, layers)
    with pytest.raises(ValueError, match="for some layers only, are not served"):
        engine.read(make_prompt(jnp.zeros((0, 16)), {"decoder": partly}))
    elsewhere = {"encoder": make_deep(keys, keys)}
    with pytest.raises(ValueError, match="keys and values at encoder, but"):
        engine.read(make_prompt(jnp.zeros((0, 16)), elsewhere))
    with pytest.raises(ValueError, match="has 64 positions: take shorter slots"):
        SlotEngine(backbone, params, capacity=65)
