"""Rows of several members of a bank: each has the answers and losses that it has alone.

An empty input among them: a decoder-only model reads nothing but its prompt there.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG

from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.evaluate.gold import make_gold, score_gold
from jaxprompt.evaluate.score import make_predict
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.prompt import Prompt, unstack
from jaxprompt.prompts.soft_ids import prefix

TEXTS = ("", "film 3", "rain on the stove", "", "positive")
MEMBERS, LENGTH = 3, 4


class Setting(NamedTuple):
    """A frozen model, a bank, and a task whose first and fourth input are empty."""

    backbone: Decoder | T5
    model: Mapping[str, Any]
    bank: Prompt
    task: Task
    rows: EvaluationSet

    def join(self, prompt: Prompt) -> dict[str, Any]:
        return {"model": self.model, "prompt": prompt}


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def setting(request, tmp_path_factory, spiece: Path, causal_spiece: Path) -> Setting:
    causal = request.param == "gpt2"
    vocabulary = load_vocabulary(causal_spiece if causal else spiece, causal=causal)
    size = int(vocabulary.vocab_size)
    if causal:
        sizes = {"width": 32, "heads": 4, "ffn_width": 48, "layers": 2}
        backbone = Decoder(GPT2Config(vocab_size=size, positions=40, **sizes))
    else:
        backbone = T5(dataclasses.replace(CONFIG, vocab_rows=size))
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [{"ask": text, "say": "yes" if text else "no"} for text in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = file_task(
        "own",
        files={"validation": path},
        inputs="{ask}",
        target="say",
        labels={"yes": "yes", "no": "no"},
        vocabulary=vocabulary,
    )
    draw = np.random.default_rng(0)

    def weights(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        scale = leaf.shape[-2] ** -0.5 if leaf.ndim > 1 else 1.0
        return jnp.asarray(draw.normal(0.0, scale, leaf.shape), leaf.dtype)

    model = jax.tree.map(weights, jax.eval_shape(backbone.init, jax.random.key(0)))
    drawn = draw.normal(size=(MEMBERS, LENGTH, backbone.width))
    bank = Prompt(jnp.asarray(drawn, jnp.float32))
    ids = prefix(backbone.vocab_rows, LENGTH)
    rows = EvaluationSet(Sample(task, "validation", Lengths(12, 4), ids))
    return Setting(backbone, model, bank, task, rows)


@pytest.mark.parametrize("method", ["greedy", "rank"])
def test_each_member_answers_as_it_does_alone(setting: Setting, method: str):
    predict = make_predict(setting.backbone, setting.task, method=method, length=4)

    def answers(prompt: Prompt, members: tuple[int, ...]) -> list[list[str]]:
        answer = functools.partial(predict, setting.join(prompt))
        scores = setting.rows.score_members(answer, 4, members)
        return [score.predictions for score in scores]

    alone = [answers(prompt, (0,))[0] for prompt in unstack(setting.bank)]
    assert answers(setting.bank, (0, 1, 2)) == alone
    # In whatever order and company.
    assert answers(setting.bank, (2, 1)) == [alone[2], alone[1]]
    if method != "rank":
        assert len({texts[0] for texts in alone}) > 1


def test_each_member_has_the_loss_that_it_has_alone(setting: Setting):
    end: Any = setting.task.vocabulary.eos_id
    measure = make_gold(setting.backbone, end)

    def losses(prompt: Prompt, members: tuple[int, ...]) -> list[dict[str, float]]:
        of_batch = functools.partial(measure, setting.join(prompt))
        return score_gold(of_batch, setting.rows, 4, members)

    alone = [losses(prompt, (0,))[0] for prompt in unstack(setting.bank)]
    for found, expected in zip(losses(setting.bank, (0, 1, 2)), alone, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    assert len({round(loss["gold_loss"], 3) for loss in alone}) == MEMBERS
