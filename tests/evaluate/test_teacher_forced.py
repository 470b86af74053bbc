"""The teacher-forced loss: what it sums, and what another row's input does to it."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG, make_tiny

from jaxprompt.data.pretraining.tokenizer import train_vocabulary, write_vocabulary
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.loss import (
    Loss,
    LossSet,
    Sums,
    make_measure,
    mean_loss,
    measure_loss,
)
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import empty_prompt

LENGTHS = Lengths(inputs=24, targets=12)
NO_PROMPT = np.zeros(0, np.int32)
ROWS = [("red apple", "rain"), ("blue sky over us", "sun"), ("green", "rain rain")]


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Callable[..., Task]:
    """Loads the rows as a task, for a model of either kind."""
    folder = tmp_path_factory.mktemp("rows")
    words = [(" ".join(row),) for row in ROWS] * 40
    model = train_vocabulary(words, pieces=100)
    spiece = write_vocabulary(folder, model, sentinels=0)
    lines = [f"{text}\t{answer}" for text, answer in ROWS]
    (folder / "a.tsv").write_text("\n".join(["text\tanswer", *lines, ""]))

    def task(*, causal: bool) -> Task:
        return file_task(
            "rows",
            files={"validation": folder / "a.tsv"},
            inputs="{text}",
            target="answer",
            vocabulary=load_vocabulary(spiece, causal=causal),
        )

    return task


@pytest.fixture(scope="module")
def rows(load) -> LossSet:
    return LossSet(Sample(load(causal=False), "validation", LENGTHS, NO_PROMPT))


def whole(rows, **options):
    [(batch, numbers)] = rows.batches(3, **options)
    return jax.tree.map(lambda x: x[np.argsort(numbers)], batch)


def zip_rows(batch):
    """The ids of each row, input and target, without padding."""
    ids = np.concatenate([batch.inputs, batch.targets], axis=1)
    return [row[row > 0] for row in ids]


@pytest.fixture(scope="module")
def model():
    """With a row for each piece of the vocabulary."""
    return make_tiny(dataclasses.replace(CONFIG, vocab_rows=128))


def test_the_sums_are_those_of_the_logits(model, rows):
    params = model.join(empty_prompt(16))
    batch = jax.tree.map(jnp.asarray, whole(rows))
    logits = jax.jit(prompted_logits, static_argnums=0)(model.backbone, params, batch)
    logs = np.asarray(jax.nn.log_softmax(logits), np.float64)
    real = np.asarray(batch.targets) > 0
    chosen = np.take_along_axis(logs, np.asarray(batch.targets)[..., None], axis=-1)
    sums = make_measure(model.backbone)(params, batch)
    assert sums.nats == pytest.approx(-chosen[..., 0][real].sum(), rel=1e-5)
    assert sums.tokens == real.sum()
    hits = logs.argmax(axis=-1) == np.asarray(batch.targets)
    assert sums.hits == hits[real].sum()


def test_the_batch_size_does_not_change_the_loss(model, rows):
    params, measure = model.join(empty_prompt(16)), make_measure(model.backbone)

    def loss(batch_size):
        return measure_loss(lambda batch: measure(params, batch), rows, batch_size)

    # Two rows a batch leave a last, half-empty one.
    np.testing.assert_allclose(loss(2), loss(3), rtol=1e-5)


def test_another_rows_input_comes_with_the_rows_own_targets(rows):
    own, other = whole(rows), whole(rows, other_input=True)
    np.testing.assert_array_equal(other.inputs, np.roll(own.inputs, 1, axis=0))
    np.testing.assert_array_equal(other.input_segments, other.inputs != 0)
    for name in ("targets", "target_inputs", "target_segments", "weights"):
        np.testing.assert_array_equal(getattr(other, name), getattr(own, name))
    # The same in batches of one, where a batch has no other row.
    for batch, (number,) in rows.batches(1, other_input=True):
        width = batch.inputs.shape[1]
        np.testing.assert_array_equal(batch.inputs[0], other.inputs[number, :width])


def test_a_decoder_has_all_of_the_other_rows_input(load):
    """By hand: the tokens of the row before, and behind them the row's own targets."""
    task = load(causal=True)
    size = int(task.vocabulary.vocab_size)
    sizes = {"width": 16, "heads": 2, "ffn_width": 32, "layers": 2, "positions": 48}
    backbone = Decoder(GPT2Config(vocab_size=size, **sizes))
    draw = np.random.default_rng(0)
    model = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(backbone.init, jax.random.key(0)),
    )
    measure = make_measure(backbone)
    params = {"model": model, "prompt": empty_prompt(16)}
    found = measure_loss(
        lambda batch: measure(params, batch),
        LossSet(Sample(task, "validation", LENGTHS, NO_PROMPT)),
        3,
    )

    def nats(text: str, answer: str) -> tuple[float, int]:
        encode, end = task.vocabulary.encode, task.vocabulary.eos_id
        source, target = encode(text), [*encode(answer), end]
        read = jnp.asarray([*source, *target])[None]
        x = backbone.table(model)[read[:, :-1]]
        first, ones = len(source) - 1, jnp.ones_like(read[:, :-1])
        logits = jax.jit(backbone.logits)(
            model,
            Tokens(x[:, :first], ones[:, :first]),
            Tokens(x[:, first:], ones[:, first:]),
        )
        logs = np.asarray(jax.nn.log_softmax(logits)[0])
        total = -sum(float(logs[place, i]) for place, i in enumerate(target))
        return total, len(target)

    for shift, loss in ((0, found.loss), (-1, found.other_input_loss)):
        each = [nats(ROWS[n + shift][0], ROWS[n][1]) for n in range(len(ROWS))]
        total, tokens = np.sum(each, axis=0)
        assert loss == pytest.approx(total / tokens, rel=1e-5)
    assert abs(found.loss - found.other_input_loss) > 0.01


def test_a_model_that_does_not_read_its_input_has_twice_the_same_loss(rows):
    def blind(batch):
        tokens = float(batch.weights.sum())
        return Sums(nats=2.0 * tokens, hits=0.0, tokens=tokens)

    def reader(batch):
        tokens = float(batch.weights.sum())
        pairs = {tuple(row) for row in zip_rows(batch)}
        same = pairs == {tuple(row) for row in zip_rows(whole(rows))}
        return Sums(nats=tokens * (1.0 if same else 3.0), hits=tokens, tokens=tokens)

    done = []
    assert measure_loss(blind, rows, 3, lambda count, _: done.append(count)) == Loss(
        2.0, 2.0, 0.0
    )
    assert measure_loss(reader, rows, 3) == Loss(1.0, 3.0, 1.0)
    assert done == [3, 3]


def test_unigram_entropy_is_that_of_the_targets(rows):
    targets = whole(rows).targets
    _, counts = np.unique(targets[targets > 0], return_counts=True)
    shares = counts / counts.sum()
    assert rows.unigram_entropy() == pytest.approx(-(shares * np.log(shares)).sum())


def test_the_mean_weighs_each_part_by_its_rate():
    losses = {"a": Loss(1.0, 2.0, 0.5), "b": Loss(3.0, 4.0, 1.0)}
    mean = mean_loss(losses, {"a": 0.75, "b": 0.25})
    assert mean == pytest.approx(Loss(1.5, 2.5, 0.625))
