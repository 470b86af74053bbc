"""The train step: what moves, what stays, and how a batch may be cut up."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import Tiny, draw_examples, draw_prompt, one_each, to_batch

from jaxprompt.models.load import load
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.prompt import stack, unstack
from jaxprompt.sharding import RULES, RULES_OVER_DATA, make_mesh, place, place_batch
from jaxprompt.train.optimizer import MODEL_TUNING, adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

TX = train_only(adafactor(0.3, weight_decay=0.1))


@functools.cache
def compiled(tiny, accumulate=1):
    """One step for all tests: it compiles once for each shape of its arguments."""
    return make_train_step(tiny.backbone, TX, accumulate=accumulate)


def start(tiny, prompt):
    return init_state(tiny.join(prompt), TX)


def train(tiny, prompt, batches, step=None):
    """Returns the trained state, and the metrics of each step."""
    state, frozen = start(tiny, prompt)
    step, told = step or compiled(tiny), []
    for batch in batches:
        state, metrics = step(state, frozen, batch)
        told.append({name: float(value) for name, value in metrics.items()})
    return state, told


def rows(state):
    return np.asarray(state.trained["prompt"].rows)


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "tx",
    [
        adafactor(0.3, weight_decay=0.1),
        optax.adamw(0.1, weight_decay=0.1),
        optax.sgd(1.0, momentum=0.9),
    ],
    ids=["adafactor", "adamw", "momentum"],
)
def test_the_frozen_model_stays_what_its_checkpoint_says(tiny, tmp_path, tx):
    save(tmp_path / "t5", tiny.backbone, tiny.model)
    backbone, model = load(tmp_path / "t5")
    tx = train_only(tx)
    state, frozen = init_state(Tiny(backbone, model).join(draw_prompt(0)), tx)
    step = make_train_step(backbone, tx)
    for seed in range(3):
        state, _ = step(state, frozen, one_each(draw_examples(seed, 4)))
    assert list(frozen) == ["model"]
    assert list(state.trained) == ["prompt"]
    assert_same(frozen["model"], load(tmp_path / "t5")[1])
    assert_same(frozen["model"], tiny.model)
    assert np.abs(rows(state) - draw_prompt(0).rows).min(axis=-1).min() > 0


def test_model_tuning_moves_the_model_and_not_the_prompt(tiny):
    tx = train_only(optax.sgd(1.0), MODEL_TUNING)
    state, frozen = init_state(tiny.join(draw_prompt(0)), tx, MODEL_TUNING)
    step = make_train_step(tiny.backbone, tx, freeze=MODEL_TUNING)
    state, _ = step(state, frozen, one_each(draw_examples(0, 4)))
    assert_same(frozen["prompt"], draw_prompt(0))
    moved = jax.tree.map(
        lambda a, b: (a != b).any(), state.trained["model"], tiny.model
    )
    assert all(jax.tree.leaves(moved))


def test_a_prompt_given_is_not_consumed(tiny):
    """The state is donated, so it must hold a copy."""
    prompt = draw_prompt(0)
    state, _ = train(tiny, prompt, [one_each(draw_examples(0, 8))])
    assert_same(prompt, draw_prompt(0))
    assert np.abs(rows(state) - prompt.rows).max() > 0.1


def test_accumulated_microbatches_are_the_whole_batch(tiny):
    """Their targets are of uneven lengths: a mean of means would be another."""
    batches = [one_each(draw_examples(seed, 8)) for seed in range(3)]
    tokens = batches[0].weights.reshape(-1, 4, batches[0].weights.shape[1])
    assert len(set(tokens.sum(axis=(0, 2)))) > 1
    expected, told = train(tiny, draw_prompt(0), batches)
    for accumulate in (2, 4):
        state, metrics = train(
            tiny, draw_prompt(0), batches, compiled(tiny, accumulate)
        )
        np.testing.assert_allclose(rows(state), rows(expected), atol=1e-5)
        for a, b in zip(metrics, told, strict=True):
            assert a == pytest.approx(b, rel=1e-4)


def test_microbatches_that_do_not_fit_are_refused(tiny):
    with pytest.raises(ValueError, match="8 rows does not split into 3 microbatches"):
        train(
            tiny,
            draw_prompt(0),
            [one_each(draw_examples(0, 8))],
            make_train_step(tiny.backbone, TX, accumulate=3),
        )
    with pytest.raises(ValueError, match="accumulate 0"):
        make_train_step(tiny.backbone, TX, accumulate=0)


def bank_batches(seeds, counts):
    """Batches of two members, and the same rows for each member alone."""
    banked, alone = [], ([], [])
    for seed in seeds:
        examples = [draw_examples(seed + 10 * m, n) for m, n in enumerate(counts)]
        for member, batches in enumerate(alone):
            empty = [[] for _ in range(8 - counts[member])]
            batches.append(to_batch([[e] for e in examples[member]] + empty))
        second = draw_examples(seed + 10, counts[1], member=1)
        banked.append(one_each([*examples[0], *second]))
    return banked, alone


def test_members_trained_together_are_as_if_trained_alone(tiny):
    """Six rows against two: each member's loss is a mean over its own tokens."""
    banked, alone = bank_batches(range(5), (6, 2))
    bank = draw_prompt(3, members=2)
    state, told = train(tiny, bank, banked)
    losses = []
    for member, prompt in enumerate(unstack(bank)):
        own, metrics = train(tiny, prompt, alone[member])
        np.testing.assert_allclose(rows(state)[member], rows(own)[0], atol=2e-4)
        assert np.abs(rows(own)[0] - prompt.rows[0]).mean() > 0.3
        losses.append([step["loss"] for step in metrics])
    np.testing.assert_allclose(
        [step["loss"] for step in told], np.mean(losses, axis=0), rtol=1e-4
    )


def test_a_left_out_member_is_absent(tiny):
    """Neither weight decay nor a step of its optimizer reaches it meanwhile."""
    both, alone = bank_batches(range(2), (6, 2))
    without = to_batch([[example] for example in draw_examples(7, 8)])
    bank = draw_prompt(3, members=2)

    before, _ = train(tiny, bank, both[:1])
    after, told = train(tiny, bank, [both[0], without])
    for old, new in zip(
        jax.tree.leaves((before.trained, before.opt_state)),
        jax.tree.leaves((after.trained, after.opt_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(new[1], old[1])
    assert np.abs(rows(after)[0] - rows(before)[0]).max() > 0.1

    state, _ = train(tiny, bank, [both[0], without, both[1]])
    own, _ = train(tiny, unstack(bank)[1], alone[1])
    np.testing.assert_allclose(rows(state)[1], rows(own)[0], atol=2e-4)
    _, alone_told = train(tiny, unstack(before.trained["prompt"])[0], [without])
    assert told[1]["loss"] == pytest.approx(alone_told[0]["loss"], rel=1e-4)


def test_a_batch_without_targets_moves_nothing(tiny):
    state, told = train(tiny, draw_prompt(0), [to_batch([[]] * 8)])
    assert_same(state.trained["prompt"], draw_prompt(0))
    assert told[0]["loss"] == 0


class Counted(T5):
    """A T5 that counts how often it is traced."""

    traces = 0

    def target_states(self, *args, **kwargs):
        Counted.traces += 1
        return super().target_states(*args, **kwargs)


def test_any_number_of_steps_and_prompts_is_one_trace(tiny, caplog):
    counted = Tiny(Counted(**vars(tiny.backbone)), tiny.model)
    step = make_train_step(counted.backbone, TX)
    with jax.log_compiles():
        for seed in range(4):
            batches = [one_each(draw_examples(seed + n, 4)) for n in range(5)]
            train(counted, draw_prompt(seed), batches, step)
    assert Counted.traces == 1
    assert compilations(caplog) == 1


def compilations(caplog):
    return sum("Compiling jit(train_step)" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("data", "model", "rules"),
    [
        pytest.param(1, 8, RULES, id="1-8"),
        pytest.param(2, 4, RULES_OVER_DATA, id="2-4-over_data"),
        pytest.param(8, 1, RULES, id="8-1"),
        pytest.param(2, 4, RULES, id="2-4", marks=pytest.mark.long),
        pytest.param(1, 8, RULES_OVER_DATA, id="1-8-over_data", marks=pytest.mark.long),
        pytest.param(8, 1, RULES_OVER_DATA, id="8-1-over_data", marks=pytest.mark.long),
    ],
)
def test_sharded_equals_unsharded_and_compiles_once(tiny, caplog, data, model, rules):
    batches = [one_each(draw_examples(seed, 8)) for seed in range(3)]
    expected, told = train(tiny, draw_prompt(0), batches)

    mesh = make_mesh(data, model)
    params = place(tiny.join(draw_prompt(0)), mesh, rules)
    state, frozen = init_state(params, TX)
    backbone = dataclasses.replace(tiny.backbone, mesh=mesh)
    step, metrics = make_train_step(backbone, TX), []
    with jax.log_compiles():
        for batch in batches:
            state, found = step(state, frozen, place_batch(batch, mesh))
            metrics.append({name: float(value) for name, value in found.items()})
    assert compilations(caplog) == 1
    np.testing.assert_allclose(rows(state), rows(expected), atol=1e-4)
    for a, b in zip(metrics, told, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert_same(frozen["model"], tiny.model)


def test_dropout_is_a_function_of_the_seed_and_the_step(tiny):
    dropping = dataclasses.replace(tiny.backbone, dropout=0.2)
    batch = one_each(draw_examples(0, 8))

    def after(step, number=0):
        state, frozen = start(tiny, draw_prompt(0))
        state = dataclasses.replace(state, step=jnp.asarray(number, jnp.int32))
        return rows(step(state, frozen, batch)[0])

    step = make_train_step(dropping, TX, seeds=(1,))
    first = after(step)
    np.testing.assert_array_equal(after(step), first)
    others = [
        after(step, 1),
        after(make_train_step(dropping, TX, seeds=(2,))),
        after(compiled(tiny)),
    ]
    for other in others:
        assert np.abs(other - first).max() > 0.01


def test_a_bank_of_equal_seeds_is_a_stack(tiny):
    """Members may start anywhere: two that start alike and see the same stay alike."""
    twins = stack([draw_prompt(3)] * 2)
    banked = one_each([*draw_examples(0, 4), *draw_examples(0, 4, member=1)])
    state, _ = train(tiny, twins, [banked])
    np.testing.assert_allclose(rows(state)[0], rows(state)[1], atol=1e-6)
