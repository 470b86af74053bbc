"""GPUs, which no compiler here knows: bytes and time are counted from shapes."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from tiny import CONFIG

from jaxprompt.config import Data, Evaluation, Model, Run
from jaxprompt.models.attention_form import Device
from jaxprompt.models.families import PUBLISHED
from jaxprompt.plan import plan
from jaxprompt.plan.card_estimate import estimate_cards
from jaxprompt.plan.cards import CARDS, FRACTIONS, GB, parse_cards
from jaxprompt.plan.estimate import planned_attention
from jaxprompt.plan.held import count_held
from jaxprompt.sharding import abstract_mesh

X = jax.ShapeDtypeStruct((8, 16), jnp.float32)
W = jax.ShapeDtypeStruct((5, 16, 16), jnp.float32)
ROWS, MATRIX = 4 * 8 * 16, 4 * 16 * 16
"""Bytes of each."""

RUN = Run(
    trains="model",
    model=Model(architecture=dataclasses.replace(CONFIG, vocab_rows=512)),
    data=Data(input_length=16, target_length=4),
    batch_size=8,
)


def layers(x, w):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]


def test_what_is_computed_on_the_way_is_not_held():
    assert count_held(lambda x: x @ x.T, X) == 4 * 8 * 8
    # A matrix and the product are written, tanh and the square are not.
    found = count_held(lambda x, w: (jnp.tanh(x @ w[0]) ** 2).sum(), X, W)
    assert found == MATRIX + ROWS


def test_a_loop_holds_a_round_and_a_gradient_all_that_rounds_leave():
    # Its result, the layer's matrix, and a product before the activation.
    assert count_held(layers, X, W) == ROWS + MATRIX + ROWS
    kept = 5 * ROWS
    found = count_held(jax.grad(lambda x, w: layers(x, w).sum()), X, W)
    assert 2 * kept < found < 4 * kept


def test_an_array_is_held_until_it_is_read_last():
    def long_lived(x, w):
        first = x @ w[0]
        return layers(x, w) + first

    assert count_held(long_lived, X, W) > count_held(layers, X, W) + ROWS - 1


@pytest.mark.parametrize(("donates", "held"), [((), 2 * MATRIX), ((0,), MATRIX + ROWS)])
def test_a_state_that_is_donated_is_held_once(donates: tuple[int, ...], held: int):
    """What is left then is the gradient, and one of the rows that it is of."""

    def step(state, x):
        loss, gradient = jax.value_and_grad(lambda w: (x @ w).sum())(state["w"])
        moment = 0.9 * state["moment"] + gradient
        return {"w": state["w"] - moment, "moment": moment}, loss

    w = jax.ShapeDtypeStruct(W.shape[1:], W.dtype)
    step = jax.jit(step, donate_argnums=donates)
    assert count_held(step, {"w": w, "moment": w}, X) == held + 4


def test_cards_hold_their_part_of_the_weights_and_rows():
    config, cards = RUN.model.architecture, parse_cards("h100:4")
    assert cards is not None
    alone, rows, weights = (
        estimate_cards(RUN, config, "train", abstract_mesh(*grid), cards)
        for grid in ((1, 1), (4, 1), (1, 4))
    )
    assert rows.memory.temporaries < 0.7 * alone.memory.temporaries
    assert rows.flops == pytest.approx(alone.flops / 4, rel=0.1)
    assert weights.memory.weights < 0.4 * alone.memory.weights
    # The weights train, so that their moments are there too, and their gradient.
    assert alone.memory.peak > 2 * alone.memory.weights
    assert alone.fits
    assert alone.least == alone.seconds[alone.bound] > 0


def test_the_plan_for_cards_is_a_table(monkeypatch: pytest.MonkeyPatch):
    for name in FRACTIONS:
        monkeypatch.delenv(name, raising=False)
    text = plan(RUN, "h100:2", step="predict", search=True)
    assert "h100:2: 2 chips with 55.88 GiB each, for programs" in text
    assert "best: --gin.MESH_DATA=" in text
    cards = parse_cards("h100")
    assert cards is not None
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.9")
    assert cards.memory == pytest.approx(0.9 * 80 * GB)
    for said in ("most", "0", "90"):
        monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", said)
        with pytest.raises(ValueError, match=f"is '{said}': use a share above 0, up"):
            _ = cards.memory


@pytest.mark.parametrize("method", ["greedy", "nucleus", "rank"])
def test_answers_are_planned_by_their_method(method: str):
    run = dataclasses.replace(RUN, evaluation=Evaluation(method=method))
    assert "| yes  |" in plan(run, "h100:2", step="predict")


def test_what_may_help_is_what_the_run_takes(monkeypatch: pytest.MonkeyPatch):
    assert "no mesh of 3 chips divides the rows and the model" in plan(
        RUN, "h100:3", search=True
    )
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "1e-9")
    nano = Model(name="bundled:nano")
    tunes, prompt = RUN, dataclasses.replace(RUN, trains="prompt", model=nano)
    found = [
        plan(run, "h100", step=step).rpartition("nothing fits: take ")[2]
        for run, step in ((tunes, "train"), (tunes, "predict"), (prompt, "train"))
    ]
    remat, larger = "--gin.REMAT=full", "a larger slice or more cards"
    assert found == [
        f"{remat}, or {larger}, or more accumulation",
        f"{larger}, or smaller batches",
        f"{remat}, or {larger}, or more accumulation, or int8 weights",
    ]
    full = dataclasses.replace(
        tunes, model=dataclasses.replace(RUN.model, remat="full")
    )
    assert f"nothing fits: take {larger}, or" in plan(full, "h100")


def test_a_card_is_known_by_its_name():
    cards = parse_cards("a100-40gb:8")
    assert cards is not None
    assert (cards.name, cards.chips) == ("a100-40gb:8", 8)
    assert cards.card is CARDS["a100-40gb"]
    assert cards.card.sold == 40 * GB
    rates = [cards.card.rate("float32", x) for x in ("float32", "tensorfloat32")]
    assert [*rates, cards.card.rate("bfloat16", "float32")] == [19.5e12, 156e12, 312e12]
    assert parse_cards("v5e:2x2") is None
    assert parse_cards("h101") is None
    with pytest.raises(ValueError, match="h100:0: use one card or more, as h100:8"):
        parse_cards("h100:0")
    with pytest.raises(ValueError, match="or GPUs, as a100, a100-40gb, h100, "):
        plan(RUN, "h101")
    meshed = dataclasses.replace(RUN.model, mesh_data=2, mesh_model=2)
    too_small = dataclasses.replace(RUN, model=meshed)
    with pytest.raises(
        ValueError, match="data=2 x model=2 = 4 devices, but there are 8"
    ):
        plan(too_small, "h100:8")


def test_the_form_of_attention_is_that_of_the_card():
    """Heads of 256 features: cuDNN takes them from Hopper on, and in bfloat16."""
    config = PUBLISHED["google/gemma-3-4b-pt"]
    found = {}
    for name in CARDS:
        cards = parse_cards(name)
        assert cards is not None
        for dtype in ("bfloat16", "float32"):
            run = dataclasses.replace(RUN, trains="prompt", model=Model(dtype=dtype))
            found[name, dtype] = planned_attention(run, config, cards.device)
    by_cudnn = {case for case, form in found.items() if form == "cudnn"}
    assert by_cudnn == {("h100", "bfloat16"), ("h200", "bfloat16")}
    asked = dataclasses.replace(RUN, model=Model(attention="cudnn"))
    with pytest.raises(ValueError, match="computes in bfloat16, and the model in"):
        planned_attention(asked, config, Device("gpu", (9, 0)))
