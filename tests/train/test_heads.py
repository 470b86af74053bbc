"""A head beside the prompt: what trains is said by the mask, and nothing else moves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import VOCAB_ROWS, draw_examples, draw_prompt, one_each

from jaxprompt.config import Run
from jaxprompt.heads.head import Losses
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.trained import join_heads
from jaxprompt.train.optimizer import FREEZE, MASKS, clipped, train_only
from jaxprompt.train.step import init_state, make_train_step


@dataclasses.dataclass(frozen=True)
class Biased:
    """Words with a bias to each, a toy of a head that has weights."""

    name: str = "biased"

    def init(self, key, backbone, model):
        del key, model
        return {"bias": jnp.zeros((1, backbone.vocab_rows))}

    def losses(self, backbone, params, batch, *, dropout_key=None):
        logits = prompted_logits(backbone, params, batch, dropout_key=dropout_key)
        logits += params["head"]["bias"][batch.members][:, None]
        log_z = jax.nn.logsumexp(logits, axis=-1)
        target = jnp.take_along_axis(logits, batch.targets[..., None], axis=-1)[..., 0]
        return Losses(log_z - target, log_z, target >= logits.max(axis=-1))


def train(tiny, trains, members, examples, tx):
    head = Biased()
    params = tiny.join(draw_prompt(0, members=members)) | {
        "head": join_heads(
            [head.init(jax.random.key(0), tiny.backbone, tiny.model)] * members
        )
    }
    mask, tx = MASKS[trains], train_only(tx, MASKS[trains])
    state, frozen = init_state(params, tx, mask)
    step = make_train_step(
        tiny.backbone, tx, freeze=mask, head=head, seeds=range(members)
    )
    state, metrics = step(state, frozen, one_each(examples))
    return {**frozen, **state.trained}, float(metrics["loss"])


@pytest.mark.parametrize("trains", ["head", "prompt+head"])
def test_only_what_the_mask_names_moves(tiny, trains):
    after, _ = train(tiny, trains, 1, draw_examples(0, 4), optax.sgd(1.0))
    moved = {
        "prompt": bool((after["prompt"].rows != draw_prompt(0).rows).any()),
        "head": bool(after["head"]["bias"].any()),
    }
    assert moved == {part: part in trains.split("+") for part in moved}
    for leaf, before in zip(
        jax.tree.leaves(after["model"]), jax.tree.leaves(tiny.model), strict=True
    ):
        np.testing.assert_array_equal(leaf, before)


def test_gradients_of_a_prompt_and_its_head_are_clipped_as_one_member_by_member(tiny):
    first = draw_examples(0, 4)
    tx = clipped(optax.sgd(1.0), 0.01)
    alone, _ = train(tiny, "prompt+head", 1, first, tx)
    change = (alone["prompt"].rows - draw_prompt(0).rows, alone["head"]["bias"])
    np.testing.assert_allclose(optax.tree.norm(change), 0.01, rtol=1e-3)
    both = [*first, *draw_examples(1, 4, member=1)]
    bank, _ = train(tiny, "prompt+head", 2, both, tx)
    np.testing.assert_allclose(bank["head"]["bias"][0], change[1][0], atol=1e-7)
    assert bank["head"]["bias"].shape == (2, VOCAB_ROWS)


def test_a_run_whose_answers_are_words_has_no_head_to_train():
    with pytest.raises(ValueError, match="'head', but a head of words has no weights"):
        Run(trains="head")
    assert FREEZE is MASKS["prompt"]
