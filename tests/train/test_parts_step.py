"""A batch in parts of several widths takes the step that it takes whole."""

import dataclasses
import itertools
import operator
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tiny import INPUTS, TARGETS, draw_examples, draw_prompt, one_each

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.t5.model import T5
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.prompt import Prompt, empty_prompt, stack
from jaxprompt.shapes import Batch, resize, unpacked_batch
from jaxprompt.train.optimizer import MODEL_TUNING, adafactor, train_only
from jaxprompt.train.parts_step import make_parts_step
from jaxprompt.train.step import init_state, make_train_step

TX = train_only(adafactor(0.3, weight_decay=0.1))


def parts_of(batch: Batch, widths: Mapping[int, int]) -> tuple[Batch, ...]:
    """Cuts a batch into parts, each up to a row and as wide as given."""
    ends = [0, *widths]
    spans = itertools.starmap(slice, itertools.pairwise(ends))
    return tuple(
        resize(jax.tree.map(operator.itemgetter(span), batch), width, TARGETS)
        for span, width in zip(spans, widths.values(), strict=True)
    )


def test_a_bank_moves_as_with_the_whole_batch(tiny):
    """Members 0 and 1 share parts, member 2 has no row and stays where it is."""
    rows = [*draw_examples(0, 5, member=0), *draw_examples(1, 3, member=1)]
    batch = one_each(rows, inputs=4 * INPUTS)
    parts = parts_of(batch, {2: 4 * INPUTS, 4: INPUTS, 8: 2 * INPUTS})
    bank = stack([draw_prompt(seed) for seed in range(3)])
    found = []
    for make, given in ((make_train_step, batch), (make_parts_step, parts)):
        state, frozen = init_state(tiny.join(bank), TX)
        step, told = make(tiny.backbone, TX), []
        for _ in range(3):
            state, metrics = step(state, frozen, given)
            told.append({name: float(value) for name, value in metrics.items()})
        found.append((np.asarray(state.trained["prompt"].rows), told, int(state.step)))
    (whole, whole_told, steps), (by_parts, parts_told, parts_steps) = found
    np.testing.assert_allclose(by_parts, whole, rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(by_parts[2], bank.rows[2])
    assert steps == parts_steps == 3
    for one, other in zip(parts_told, whole_told, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose([*one.values()], [*other.values()], rtol=2e-4)


def test_a_model_moves_as_with_the_whole_batch(tiny):
    batch = one_each(draw_examples(0, 4), inputs=2 * INPUTS)
    parts = parts_of(batch, {2: 2 * INPUTS, 4: INPUTS})
    tx = train_only(optax.sgd(0.1), MODEL_TUNING)
    found = []
    for make, given in ((make_train_step, batch), (make_parts_step, parts)):
        params = tiny.join(empty_prompt(tiny.backbone.width))
        state, frozen = init_state(params, tx, MODEL_TUNING)
        step = make(tiny.backbone, tx, freeze=MODEL_TUNING)
        state, metrics = step(state, frozen, given)
        found.append((state.trained["model"], metrics))
    whole, by_parts = found
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6),
        by_parts,
        whole,
    )
    moved = jax.tree.map(
        lambda one, other: np.abs(one - other).max(), whole[0], tiny.model
    )
    assert min(jax.tree.leaves(moved)) > 0


CONFIG = GPT2Config(
    vocab_size=60, width=16, heads=2, ffn_width=24, layers=2, positions=40
)
LENGTH = 5
"""Soft tokens, of which the decoder reads all but the last once."""


def decoder_rows(sizes: list[int]) -> Batch:
    """Puts texts of these sizes behind the prompt, as the data pipeline does."""
    draw, first = np.random.default_rng(3), Decoder(CONFIG).vocab_rows
    *lead, soft = range(first, first + LENGTH)
    inputs, targets = np.full((len(sizes), max(sizes)), NO_TOKEN), []
    target_inputs = []
    for row, size in enumerate(sizes):
        words = draw.integers(4, 60, size + 2)
        inputs[row, :size] = [soft, *words[: size - 1]]
        target_inputs.append(words[size - 1 : size + 1])
        targets.append(words[size:])
    batch = unpacked_batch(inputs, np.array(targets))
    members = jnp.arange(len(sizes)) % 2
    return dataclasses.replace(
        batch,
        target_inputs=jnp.array(target_inputs),
        members=members,
        lead=tuple(lead),
    )


def test_a_prompt_that_folds_is_folded_once_and_moves_as_with_the_whole_batch():
    backbone = Folds(CONFIG)
    model = jax.jit(backbone.init)(jax.random.key(0))
    rows = np.random.default_rng(7).normal(size=(2, LENGTH, CONFIG.width))
    bank = Prompt(jnp.asarray(rows, jnp.float32))
    batch = decoder_rows([9, 8, 4, 4, 3, 2])
    parts = tuple(
        jax.tree.map(lambda leaf, span=span: leaf[span], resize(batch, width, 2))
        for span, width in ((slice(0, 2), 9), (slice(2, 4), 4), (slice(4, 6), 4))
    )
    found = []
    for make, given in ((make_train_step, batch), (make_parts_step, parts)):
        state, frozen = init_state({"model": model, "prompt": bank}, TX)
        step, Folds.traces = make(backbone, TX), 0
        for _ in range(2):
            state, _ = step(state, frozen, given)
        found.append(np.asarray(state.trained["prompt"].rows))
    assert Folds.traces == 2, "to begin, and on the way back: not for each width"
    np.testing.assert_allclose(found[1], found[0], rtol=2e-5, atol=2e-5)
    assert np.abs(found[0] - bank.rows).min(axis=(0, 2)).max() > 0


class Folds(Decoder):
    """A decoder that counts how often it is traced to read a lead."""

    traces = 0

    def keys_values(self, *args, **kwargs):
        Folds.traces += 1
        return super().keys_values(*args, **kwargs)


class Counted(T5):
    """A T5 that counts how often it is traced."""

    traces = 0

    def target_states(self, *args, **kwargs):
        Counted.traces += 1
        return super().target_states(*args, **kwargs)


def test_each_width_is_traced_once(tiny):
    counted = Counted(**vars(tiny.backbone))
    step = make_parts_step(counted, TX)
    state, frozen = init_state(tiny.join(draw_prompt(0)), TX)
    for seed in range(4):
        batch = one_each(draw_examples(seed, 6), inputs=2 * INPUTS)
        parts = parts_of(batch, {2: 2 * INPUTS, 4: INPUTS, 6: INPUTS})
        state, _ = step(state, frozen, parts)
    assert Counted.traces == 2
