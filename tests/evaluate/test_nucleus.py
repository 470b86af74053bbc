"""What nucleus sampling draws for a row follows from the row and its seed alone."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary
from tiny import CONFIG, Tiny, draw_prompt, make_tiny

from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.row_batches import predict_rows
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.evaluate.draw import NEVER
from jaxprompt.evaluate.draw import draw as draw_token
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.evaluate.score import make_predict
from jaxprompt.prompts.prompt import Prompt, stack
from jaxprompt.prompts.soft_ids import prefix

ROWS, COUNT, LENGTH = 264, 8, 6


@pytest.fixture(scope="module")
def uniform() -> Tiny:
    """A model that finds all words about as likely, whatever it reads."""
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=ROWS))
    return dataclasses.replace(
        tiny, model={**tiny.model, "logits": 1e-3 * tiny.model["logits"]}
    )


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.jsonl"
    rows = [{"text": f"row {n} " + n * "x", "say": "no"} for n in range(COUNT)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file_task(
        "own",
        files={"validation": path},
        inputs="{text}",
        target="say",
        vocabulary=byte_vocabulary(),
    )


@pytest.fixture(scope="module")
def draw(uniform, task):
    """Draws answers: (prompts, seeds, rows, batch size, members) -> [rows, L]."""

    @functools.cache
    def predict_with(seeds: tuple[int, ...]):
        options = {"method": "nucleus", "length": LENGTH, "top_p": 1.0}
        return make_predict(uniform.backbone, task, seeds=seeds, **options)

    def answers(
        prompt: Prompt,
        seeds: tuple[int, ...] = (0,),
        num_examples: int | None = None,
        batch_size: int = 4,
        members: tuple[int, ...] = (0,),
    ) -> np.ndarray:
        ids, lengths = prefix(ROWS, 3), Lengths(16, 4)
        rows = EvaluationSet(
            Sample(task, "validation", lengths, ids, num_examples=num_examples)
        )
        answer = functools.partial(predict_with(seeds), uniform.join(prompt))
        batches = rows.batches(batch_size, members)
        return predict_rows(answer, batches, rows.num_examples * len(members))

    return answers


def agree(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the tokens that are equal."""
    return float(np.mean(one == other))


def test_rows_in_the_same_place_of_two_batches_draw_anew(draw):
    found = draw(draw_prompt(0))
    places = [(a, b) for a in range(COUNT) for b in range(a)]
    assert np.mean([agree(found[a], found[b]) for a, b in places]) < 0.05


def test_a_row_draws_the_same_in_any_batch_and_company(draw):
    prompt = draw_prompt(0)
    found = draw(prompt)
    np.testing.assert_array_equal(draw(prompt, batch_size=3), found)
    # Three rows of the split, whose numbers are those of the whole split.
    some = draw(prompt, num_examples=3)
    numbers = np.sort(np.random.default_rng(0).choice(COUNT, 3, replace=False))
    assert numbers.tolist() != [0, 1, 2]
    np.testing.assert_array_equal(some, found[numbers])


def test_members_draw_by_their_own_seeds_as_they_do_alone(draw):
    prompt = draw_prompt(0)
    found = draw(stack([prompt, prompt]), seeds=(5, 6), members=(0, 1))
    assert agree(found[:COUNT], found[COUNT:]) < 0.05
    np.testing.assert_array_equal(found[:COUNT], draw(prompt, seeds=(5,)))
    np.testing.assert_array_equal(found[COUNT:], draw(prompt, seeds=(6,)))


def test_a_draw_without_a_seed_or_a_number_is_refused(draw, uniform, task):
    bank = draw_prompt(0, members=2)
    with pytest.raises(ValueError, match="a bank of 2 prompts with 1 seeds: give each"):
        draw(bank, members=(0, 1))
    rows = EvaluationSet(Sample(task, "validation", Lengths(16, 4), prefix(ROWS, 3)))
    batch = next(rows.batches(4)).batch
    assert jnp.issubdtype(batch.row_numbers.dtype, jnp.integer)
    without = dataclasses.replace(jax.tree.map(jnp.asarray, batch), row_numbers=None)
    predict = make_predict(uniform.backbone, task, method="nucleus", length=LENGTH)
    with pytest.raises(ValueError, match="a batch without row_numbers"):
        predict(uniform.join(draw_prompt(0)), without)


@pytest.mark.parametrize("temperature", [1e-4, 1e-10, 1e-30, 1e-44])
def test_at_a_low_temperature_the_likeliest_token_is_drawn(temperature: float):
    log_probs = jnp.log(jnp.array([[0.3, 0.5, 0.2, 0.0]])).at[0, 3].set(NEVER)
    keys = jax.random.split(jax.random.key(0), 8)
    drawn = draw_token(
        jnp.tile(log_probs, (8, 1)), keys, temperature=temperature, top_p=0.9
    )
    assert drawn.tolist() == [1] * 8
