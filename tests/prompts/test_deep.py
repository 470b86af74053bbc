"""Keys and values at a site: a text's own are the text, and masked ones are nothing."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG, WIDTH, draw_examples, draw_prompt, make_tiny, one_each

from jaxprompt.evaluate.decode import greedy
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.deep_start import DeepStart, init_deep, layers_of
from jaxprompt.prompts.join import (
    embed,
    prefixes,
    prompted_encode,
    prompted_logits,
)
from jaxprompt.prompts.prompt import (
    Prompt,
    empty_prompt,
    make_deep,
    make_prompt,
    stack,
    unstack,
)
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

GPT2 = Decoder(
    GPT2Config(vocab_size=60, width=32, heads=4, ffn_width=48, layers=3, positions=60)
)
NOTHING = jnp.zeros((0, WIDTH))
encode = jax.jit(prompted_encode, static_argnums=0)
logits_of = jax.jit(prompted_logits, static_argnums=0)


@pytest.fixture(scope="module")
def t5():
    return make_tiny(dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=2))


@pytest.fixture(scope="module")
def without_places(t5):
    """A T5 to which it does not matter where a token of the decoder stands."""
    decoder = t5.model["decoder"]
    flat = {**decoder, "relative_bias": jnp.zeros_like(decoder["relative_bias"])}
    return dataclasses.replace(t5, model={**t5.model, "decoder": flat})


@pytest.fixture(scope="module")
def gpt2():
    draw = np.random.default_rng(0)

    def weights(leaf):
        return jnp.asarray(draw.normal(0.0, leaf.shape[-2] ** -0.5, leaf.shape), "f4")

    shapes = jax.eval_shape(GPT2.init, jax.random.key(0))
    params = jax.tree.map(
        lambda x: weights(x) if x.ndim > 1 else jnp.ones(x.shape), shapes
    )
    return {**params, "positions": jnp.zeros(params["positions"].shape)}


def two_rows():
    batch = one_each(draw_examples(3, 2, length=0))
    return dataclasses.replace(batch, members=np.arange(2, dtype=np.int32))


def draw_deep(config, site, seed, length=4, layers=None, **options):
    shape = (*config.sites[site][:1], length, *config.sites[site][1:])
    draw = np.random.default_rng(seed)
    keys, values = draw.normal(size=(2, *shape))
    return make_deep(keys, values, layers, **options)


def at_every_site(config, layers=None, seed=0, width=WIDTH, **options):
    deep = {
        site: draw_deep(config, site, [seed, place], layers=layers, **options)
        for place, site in enumerate(config.sites)
    }
    return make_prompt(jnp.zeros((0, width)), deep)


def test_those_of_a_source_are_the_source_beside_the_rows_own(t5):
    backbone, batch, words = t5.backbone, two_rows(), jnp.array([[17, 4, 40]])
    alone = t5.join(empty_prompt(WIDTH))
    table, member = backbone.table(t5.model), jnp.zeros(1, jnp.int32)
    ones = jnp.ones((1, 3), jnp.int32)
    in_words = embed(table, alone["prompt"], words, member)
    front = jax.jit(backbone.encode)(t5.model, Tokens(in_words, ones))
    keys, values = backbone.keys_values(t5.model, in_words)["cross"]
    deep = make_deep(keys[:, 0], values[:, 0])
    bank = stack([make_prompt(NOTHING, {"cross": deep})] * 2)
    found = logits_of(backbone, t5.join(bank), batch)

    encoded = encode(backbone, alone, batch)
    both = dataclasses.replace(
        encoded,
        states=jnp.concatenate(
            [jnp.tile(front.states, (2, 1, 1)), encoded.states], axis=1
        ),
        segments=jnp.concatenate([jnp.tile(ones, (2, 1)), encoded.segments], axis=1),
    )
    y = embed(table, alone["prompt"], batch.target_inputs, jnp.zeros(2, jnp.int32))
    target = Tokens(y, batch.target_segments)
    expected = jax.jit(backbone.decode)(t5.model, both, target)
    real = batch.weights > 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    assert np.abs(logits_of(backbone, alone, batch) - found)[real].max() > 0.1


def test_those_of_first_answers_are_these_answers_each_members_its_own(without_places):
    t5, batch = without_places, two_rows()
    ids = jnp.array([[0, 7, 9, 11, 13], [0, 21, 20, 19, 18]])
    segments = jnp.ones_like(ids)
    batch = dataclasses.replace(batch, target_inputs=ids, target_segments=segments)
    alone = t5.join(empty_prompt(WIDTH))
    expected = logits_of(t5.backbone, alone, batch)

    encoded = encode(t5.backbone, alone, batch)
    cache = t5.backbone.start_cache(t5.model, encoded, 2)
    step = jax.jit(t5.backbone.decode_step)
    for place in range(2):
        y = t5.model["embedding"][ids[:, place]]
        _, cache = step(t5.model, cache, y, jnp.array(place))
    bank = stack(
        [
            make_prompt(
                NOTHING,
                {"decoder": make_deep(cache.keys[:, row], cache.values[:, row])},
            )
            for row in range(2)
        ]
    )
    rest = dataclasses.replace(
        batch, target_inputs=ids[:, 2:], target_segments=segments[:, 2:]
    )
    found = logits_of(t5.backbone, t5.join(bank), rest)
    np.testing.assert_allclose(found, expected[:, 2:], atol=1e-5)


def test_those_of_soft_tokens_are_the_soft_tokens_in_a_decoder(gpt2):
    rows = np.random.default_rng(7).normal(size=(2, 5, 32)).astype(np.float32)
    soft = np.tile(np.arange(60, 65), (2, 1)) + 4
    text = np.array([[8, 9, 10], [30, 31, 32]])
    batch = two_rows()

    def laid_out(before):
        ids = np.concatenate([before, text[:, :2]], axis=1)
        return dataclasses.replace(
            batch,
            inputs=ids.astype(np.int32),
            input_segments=np.ones_like(ids),
            target_inputs=text[:, 2:],
            target_segments=np.ones((2, 1), np.int32),
        )

    soft = np.tile(np.arange(GPT2.vocab_rows, GPT2.vocab_rows + 5), (2, 1))
    in_rows = {"model": gpt2, "prompt": Prompt(jnp.asarray(rows))}
    expected = logits_of(GPT2, in_rows, laid_out(soft))
    keys, values = GPT2.keys_values(gpt2, jnp.asarray(rows))["decoder"]
    nothing = jnp.zeros((0, 32))
    bank = stack(
        [
            make_prompt(nothing, {"decoder": make_deep(keys[:, m], values[:, m])})
            for m in range(2)
        ]
    )
    deep = {"model": gpt2, "prompt": bank}
    found = logits_of(GPT2, deep, laid_out(np.zeros((2, 0), int)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    swapped = {"model": gpt2, "prompt": stack(unstack(bank)[::-1])}
    other = logits_of(GPT2, swapped, laid_out(np.zeros((2, 0), int)))
    assert np.abs(found - other).max() > 0.1


def test_masked_in_every_layer_they_are_no_prompt_bit_for_bit(t5):
    batch = dataclasses.replace(two_rows(), members=np.zeros(2, np.int32))

    def scored(prompt):
        return np.asarray(logits_of(t5.backbone, t5.join(prompt), batch))

    config = t5.backbone.config
    nothing = scored(empty_prompt(WIDTH))
    masked = scored(at_every_site(config, [False, False]))
    np.testing.assert_array_equal(masked, nothing)
    last = scored(at_every_site(config, [False, True]))
    every = scored(at_every_site(config))
    assert min(np.abs(last - nothing).max(), np.abs(last - every).max()) > 0.1


def test_gates_at_zero_are_no_prompt_bit_for_bit_and_learn(t5):
    batch = dataclasses.replace(two_rows(), members=np.zeros(2, np.int32))
    config = t5.backbone.config
    gate = jnp.zeros((2, config.heads))
    closed = at_every_site(config, gate=gate)
    found = logits_of(t5.backbone, t5.join(closed), batch)
    nothing = logits_of(t5.backbone, t5.join(empty_prompt(WIDTH)), batch)
    np.testing.assert_array_equal(found, nothing)

    def total(prompt):
        logits = logits_of(t5.backbone, t5.join(prompt), batch)
        return jnp.sum(logits[..., 3])

    slopes = jax.jit(jax.grad(total))(closed)
    for site in config.sites:
        assert np.abs(slopes.deep[site].gate).min(axis=(0, 2)).max() > 1e-6
        np.testing.assert_array_equal(slopes.deep[site].keys, 0.0)
    opened = jax.tree.map(lambda leaf: leaf + 0.5, closed)
    found = logits_of(t5.backbone, t5.join(opened), batch)
    assert np.abs(found - nothing).max() > 0.1


def test_what_is_dropped_is_each_rows_own_and_a_members_the_same_as_alone(t5):
    start = at_every_site(t5.backbone.config, dropout=0.5)
    batch, keys = two_rows(), jax.random.split(jax.random.key(3), 2)

    def dropped(prompt, batch, key):
        return prefixes(t5.backbone, t5.join(prompt), batch, dropout_key=key)

    bank = dropped(stack([start] * 2), batch, keys)["cross"]
    alone = jax.tree.map(lambda leaf: leaf[1:], batch)
    alone = dropped(
        start, dataclasses.replace(alone, members=np.zeros(1, np.int32)), keys[1]
    )["cross"]
    first, second = bank.keys[:, bank.rows[0]], bank.keys[:, bank.rows[1]]
    np.testing.assert_array_equal(second, alone.keys[:, 0])
    assert (first != second).any()
    kept = first != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(
        first[kept], 2 * start.deep["cross"].keys[0][kept], rtol=1e-6
    )
    params = t5.join(start)
    batch = dataclasses.replace(batch, members=np.zeros(2, np.int32))
    plain = t5.join(at_every_site(t5.backbone.config))
    found = logits_of(t5.backbone, params, batch)
    np.testing.assert_array_equal(found, logits_of(t5.backbone, plain, batch))
    found = logits_of(t5.backbone, params, batch, dropout_key=keys)
    assert np.abs(found - logits_of(t5.backbone, plain, batch)).max() > 0.1


def test_the_text_at_its_own_positions_is_the_text_in_front(gpt2):
    """With learned positions: what stands behind it is moved by as many."""
    draw = np.random.default_rng(1)
    places = draw.normal(size=gpt2["positions"].shape).astype(np.float32)
    model = {**gpt2, "positions": jnp.asarray(places)}
    words, text = np.array([[17, 4, 40]]), np.array([[8, 9, 10]])

    def batch_of(source):
        ones = np.ones((1, 1), np.int32)
        return dataclasses.replace(
            one_each(draw_examples(3, 1, length=0)),
            inputs=source,
            input_segments=np.ones_like(source),
            target_inputs=text[:, 2:],
            target_segments=ones,
        )

    def read(length):
        return GPT2.keys_values(model, GPT2.table(model)[words[:, :length]])

    start = DeepStart(lengths={"decoder": 3}, in_front=True)
    deep = init_deep(jax.random.key(0), GPT2.config.sites, 4, start, read)
    params = {"model": model, "prompt": make_prompt(jnp.zeros((0, 32)), deep)}
    found = logits_of(GPT2, params, batch_of(text[:, :2]))
    whole = np.concatenate([words, text[:, :2]], axis=1)
    expected = logits_of(GPT2, {**params, "prompt": empty_prompt(32)}, batch_of(whole))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    moved = dataclasses.replace(deep["decoder"], in_front=False)
    params["prompt"] = make_prompt(jnp.zeros((0, 32)), {"decoder": moved})
    found = logits_of(GPT2, params, batch_of(text[:, :2]))
    assert np.abs(found - expected).max() > 0.1


@pytest.mark.parametrize(
    ("layers", "used"),
    [((), "1111"), ("last:1", "0001"), ("first:3", "1110"), ([0, 2], "1010")],
)
def test_layers_are_named_by_their_end_or_their_numbers(layers, used):
    assert layers_of(layers, 4) == [digit == "1" for digit in used]


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("last:5", "'last:5' of a site that has 4"),
        ("last", "'last': use 'first:K' or 'last:K' of 1 or more"),
        ("first:0", "'first:0': use"),
    ],
)
def test_other_names_of_layers_are_refused(layers, said):
    with pytest.raises(ValueError, match=said):
        layers_of(layers, 4)


def test_no_text_starts_what_a_decoder_behind_a_source_reads(t5):
    start = DeepStart(lengths={"decoder": 2}, in_front=True)
    rows = jnp.ones((1, 2, WIDTH))
    with pytest.raises(ValueError, match="at encoder and cross, but none at 'decoder'"):
        init_deep(
            jax.random.key(0),
            t5.backbone.config.sites,
            8,
            start,
            lambda length: t5.backbone.keys_values(t5.model, rows),
        )


def test_greedy_decoding_follows_the_forward_pass(t5):
    batch = dataclasses.replace(two_rows(), members=np.zeros(2, np.int32))
    # Step by step all layers are in one loop; in one pass, those below have their own.
    params = t5.join(at_every_site(t5.backbone.config, [False, True]))
    decode = functools.partial(greedy, t5.backbone, length=4, end=-1)
    ids = jax.jit(decode)(params, batch)
    shifted = jnp.pad(ids[:, :-1], ((0, 0), (1, 0)))
    known = dataclasses.replace(
        batch, target_inputs=shifted, target_segments=jnp.ones_like(shifted)
    )
    logits = logits_of(t5.backbone, params, known)
    np.testing.assert_array_equal(ids, logits.argmax(axis=-1))


def test_a_bank_trains_each_member_as_alone_and_nothing_frozen_moves(t5):
    tx = train_only(adafactor(0.3, weight_decay=0.1))
    first, second = draw_examples(0, 4, length=0), draw_examples(1, 4, 1, length=0)
    starts = [
        Prompt(rows=p.rows, deep=at_every_site(t5.backbone.config, seed=seed).deep)
        for seed, p in enumerate([empty_prompt(WIDTH)] * 2)
    ]

    def trained(prompt, examples):
        state, frozen = init_state(t5.join(prompt), tx)
        step = make_train_step(t5.backbone, tx, seeds=range(prompt.members))
        losses = []
        for _ in range(4):
            state, metrics = step(state, frozen, one_each(examples))
            losses.append(float(metrics["loss"]))
        for leaf, before in zip(
            jax.tree.leaves(frozen["model"]), jax.tree.leaves(t5.model), strict=True
        ):
            np.testing.assert_array_equal(leaf, before)
        return state.trained["prompt"], losses

    alone, losses = trained(starts[0], first)
    assert losses[-1] < 0.9 * losses[0]
    bank, _ = trained(stack(starts), [*first, *second])
    for leaf, own, start in zip(
        *map(jax.tree.leaves, (unstack(bank)[0], alone, starts[0])), strict=True
    ):
        np.testing.assert_allclose(leaf, own, atol=2e-4)
        assert own.size == 0 or np.abs(own - start).max() > 0.1


def test_soft_tokens_before_other_keys_and_values_do_not_fold(gpt2):
    rows = jnp.asarray(np.random.default_rng(7).normal(size=(3, 32)), jnp.float32)
    deep = {"decoder": draw_deep(GPT2.config, "decoder", 1)}
    params = {"model": gpt2, "prompt": make_prompt(rows, deep)}
    batch = dataclasses.replace(two_rows(), members=np.zeros(2, np.int32))
    with_lead = dataclasses.replace(batch, lead=(GPT2.vocab_rows,))
    with pytest.raises(ValueError, match=r"3 soft tokens and 4 keys .*folds=False"):
        prompted_logits(GPT2, params, with_lead)
    found = logits_of(GPT2, params, batch)
    without = {"model": gpt2, "prompt": make_prompt(rows)}
    assert np.abs(logits_of(GPT2, without, batch) - found).max() > 0.1


def test_prompts_of_other_keys_and_values_make_no_bank(t5):
    config = t5.backbone.config
    some, other = (
        make_prompt(NOTHING, {"cross": draw_deep(config, "cross", 0, length=length)})
        for length in (4, 5)
    )
    with pytest.raises(ValueError, match=r"4 keys .* and others of 5 keys .* no bank"):
        stack([some, other])
    with pytest.raises(ValueError, match=r"0 soft tokens and others of 4 keys and v"):
        stack([some, empty_prompt(WIDTH)])
    masked = make_prompt(
        NOTHING, {"cross": draw_deep(config, "cross", 0, layers=[True, False])}
    )
    with pytest.raises(ValueError, match="in each of 1 layers at cross and others of"):
        stack([some, masked])
    with pytest.raises(ValueError, match=r"\(2, 4, 8, 4\) and values of shape \(2, 3"):
        make_deep(jnp.ones((2, 4, 8, 4)), jnp.ones((2, 3, 8, 4)))
    with pytest.raises(ValueError, match=r"gates of shape \(3, 8\) for 2 layers"):
        draw_deep(config, "cross", 0, gate=jnp.zeros((3, 8)))
    moved = make_prompt(
        NOTHING, {"cross": draw_deep(config, "cross", 0, in_front=True)}
    )
    with pytest.raises(ValueError, match=r"in the same layers and positions"):
        stack([some, moved])
    with pytest.raises(ValueError, match="a mask of 1 layers for 2 layers"):
        draw_deep(config, "cross", 0, layers=[True])


def test_who_reads_soft_tokens_alone_is_told_what_there_is(t5):
    both = make_prompt(
        draw_prompt(0).rows[0], {"cross": draw_deep(t5.backbone.config, "cross", 0)}
    )
    np.testing.assert_array_equal(both.soft_rows(), draw_prompt(0).rows[0])
    with pytest.raises(ValueError, match=r"form vllm takes soft tokens alone.*4 keys"):
        both.soft_rows(alone="form vllm")
    deep = dataclasses.replace(both, rows=both.rows[:, :0])
    with pytest.raises(ValueError, match=r"this prompt has none: it is 4 keys and val"):
        deep.soft_rows()
    assert (deep.is_empty, empty_prompt(WIDTH).is_empty) == (False, True)
