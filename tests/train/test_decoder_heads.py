"""Heads on a decoder: their scores are those of each text alone, read to its end."""

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.config import OwnChoices, OwnSpans, OwnTask
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.tasks.task import Task
from jaxprompt.heads.head import Scorer
from jaxprompt.heads.kinds import Layer, make_head
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.loss import loss, token_shares

SIZES = {"width": 16, "heads": 2, "ffn_width": 32, "layers": 2, "positions": 128}
BACKBONE = Decoder(GPT2Config(vocab_size=259, **SIZES))
VOCABULARY = byte_vocabulary(causal=True)
STATES = jax.jit(BACKBONE.states)
SOFT = BACKBONE.vocab_rows + np.arange(3)
LABELS = {"0": "no", "1": "yes"}


@pytest.fixture(scope="module")
def model() -> Params:
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0, 0.4, leaf.shape), leaf.dtype),
        jax.eval_shape(BACKBONE.init, jax.random.key(0)),
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """A task on the model, behind a prompt of three soft tokens."""

    task: Task
    head: Scorer
    params: Params

    @property
    def pairs(self) -> list[Any]:
        return list(self.task.pairs("train", range(self.task.num_examples("train"))))

    def batch(self, **lengths: Any) -> Batch:
        answers = self.task.answers
        assert answers is not None
        room = Lengths(40, answers.targets(1), **lengths)
        return layout_of(self.task, room, SOFT).padded(self.pairs)

    def alone(self, ids: np.ndarray) -> np.ndarray:
        """Scores every token of one text behind the prompt, by NumPy: [T, C]."""
        table = np.asarray(self.params["model"]["embedding"])
        x = np.concatenate([self.params["prompt"].rows[0], table[ids]])
        # Padding, so that all texts are one shape.
        room = np.pad(x, ((0, 64 - len(x)), (0, 0)))[None]
        segments = jnp.asarray(np.arange(64)[None] < len(x), jnp.int32)
        states = STATES(self.params["model"], Tokens(jnp.asarray(room), segments))
        states = np.asarray(states)[0, : len(x)]
        weight, bias = (self.params["head"][name][0] for name in ("weight", "bias"))
        return states @ np.asarray(weight) + np.asarray(bias)

    def scores(self, batch: Batch) -> jax.Array:
        score = jax.jit(functools.partial(self.head.scores, BACKBONE))
        return score(self.params, batch)

    def loss(self, batch: Batch) -> float:
        def of_batch(params: Params, batch: Batch) -> jax.Array:
            shares = token_shares(batch, 1)
            return loss(BACKBONE, params, batch, shares, head=self.head)[0]

        return float(jax.jit(of_batch)(self.params, batch))

    def answers(self, batch: Batch) -> list[str]:
        find = jax.jit(functools.partial(self.head.find, BACKBONE))
        found = np.asarray(find(self.params, batch))
        examples = self.task.examples("train")
        assert self.task.answers is not None
        return [
            self.task.answers.decode(one[None], [example])
            for one, example in zip(found, examples, strict=True)
        ]


@pytest.fixture
def make(model, tmp_path):
    def make(settings: Any, rows: list[dict], kind: str, **layer: Any) -> Case:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files = {"train": str(path)}
        settings = dataclasses.replace(settings, name="own", files=files)
        task = settings.load(VOCABULARY).put_to(kind)
        head = make_head([task.answers], Layer(stddev=0.5, **layer))
        weights = head.init(jax.random.key(1), BACKBONE, model)
        rows = 0.4 * jax.random.normal(jax.random.key(2), (3, 16))
        prompt = make_prompt(rows)
        params = {"model": model, "prompt": prompt, "head": weights}
        return Case(task, head, params)

    return make


def nats_of(scores: np.ndarray, true: int) -> float:
    return float(np.log(np.exp(scores).sum()) - scores[true])


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_of_classes(make, pooling):
    rows = [{"text": text, "label": n % 2} for n, text in enumerate(("ab", "c", "dcb"))]
    task = OwnTask(inputs="say {text}", target="label", labels=LABELS)
    case = make(task, rows, "classes", pooling=pooling)
    batch = case.batch(folds=pooling == "token")
    # The soft tokens and "say" stand in front of all rows; one token stays in each.
    assert len(batch.lead) == (6 if pooling == "token" else 0)
    tokens = [case.alone(pair.inputs) for pair in case.pairs]
    expected = [x[-1] if pooling == "token" else x.mean(axis=0) for x in tokens]
    np.testing.assert_allclose(case.scores(batch)[:, 0], expected, atol=1e-5)
    true = [int(row["label"]) for row in rows]
    nats = map(nats_of, expected, true)
    assert case.loss(batch) == pytest.approx(np.mean([*nats]), rel=1e-5)
    best = [LABELS[str(np.argmax(one))] for one in expected]
    assert case.answers(batch) == best


def test_of_choices(make):
    rows = [
        {"one": "ab", "two": "c", "label": 1},
        {"one": "d", "two": "abc", "label": 0},
        {"one": "ca", "two": "d", "label": 0},
    ]
    choices = {"0": "say {one}", "1": "say {two}"}
    case = make(OwnChoices(choices=choices, target="label"), rows, "choices")
    batch = case.batch()
    expected = np.array(
        [
            [case.alone(one.inputs)[-1, 0] for one in (pair, *pair.beside)]
            for pair in case.pairs
        ]
    )
    np.testing.assert_allclose(case.scores(batch)[:, 0], expected, atol=1e-5)
    nats = [nats_of(one, row["label"]) for one, row in zip(expected, rows, strict=True)]
    assert case.loss(batch) == pytest.approx(np.mean(nats), rel=1e-5)
    assert case.answers(batch) == [str(np.argmax(one)) for one in expected]


def test_of_spans(make):
    texts = ("abcd", "cab", "dd")
    rows = [
        {
            "question": "q",
            "context": text,
            "answers": [{"text": text[1:], "answer_start": 1}],
        }
        for text in texts
    ]
    case = make(OwnSpans(stride=1, question_length=1), rows, "spans", longest=2)
    batch = case.batch()
    nats, best = [], []
    for pair, text in zip(case.pairs, texts, strict=True):
        # A space, the text, and the token that stands for no answer.
        scores = case.alone(pair.inputs)[-2 - len(text) :]
        nats += [nats_of(scores[:, 0], 2), nats_of(scores[:, 1], len(text))]
        spans = [
            (scores[first, 0] + scores[last, 1], f" {text}"[first : last + 1].strip())
            for first in range(len(text) + 1)
            for last in range(first, min(first + 2, len(text) + 1))
        ]
        best.append(max(span for span in spans if span[1])[1])
    assert case.loss(batch) == pytest.approx(np.mean(nats), rel=1e-5)
    assert case.answers(batch) == best
