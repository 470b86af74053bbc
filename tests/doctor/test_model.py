"""A model that ignores padding, its cache or LM adaptation is found out."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from cases import TINY, VOCABULARY, make_case, make_causal_case

from jaxprompt.bundled import resolve
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.doctor.model import (
    check_adaptation,
    check_cache,
    check_folding,
    check_padding,
    sentinel_ids,
)
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.t5.model import T5
from jaxprompt.models.tokens import Tokens


class Unmasked(T5):
    """Its encoder attends to padding."""

    def encode(self, params: Any, source: Any, **options: Any) -> Any:
        unmasked = Tokens(source.x, jnp.ones_like(source.segments))
        encoded = super().encode(params, unmasked, **options)
        return dataclasses.replace(encoded, segments=source.segments)


class Forgetful(T5):
    """Its cache holds no more than one token."""

    def decode_step(self, params: Any, cache: Any, y: Any, index: Any) -> Any:
        return super().decode_step(params, cache, y, jnp.zeros_like(index))


class Unadapted(T5):
    """It begins every answer with a sentinel, as after span corruption."""

    def decode(self, *arguments: Any, **options: Any) -> Any:
        logits = super().decode(*arguments, **options)
        return logits.at[:, 0, sentinel_ids(VOCABULARY)[0]].add(50.0)


class Shifted(Decoder):
    """Its prefix has the soft tokens in another order."""

    def keys_values(self, params: Any, rows: Any) -> Any:
        return super().keys_values(params, jnp.roll(rows, 1, axis=1))


def test_a_decoder_alone_has_nothing_wrong():
    case = make_causal_case(Decoder)
    for check in (check_padding, check_cache, check_folding):
        assert check(case).verdict == "ok", check(case)


def test_a_prefix_that_is_not_the_prompt_is_wrong():
    finding = check_folding(make_causal_case(Shifted))
    assert finding.verdict == "wrong"
    assert "runs train and answer with the prefix" in finding.says


def test_a_right_model_has_nothing_wrong():
    case = make_case()
    for check in (check_padding, check_cache, check_adaptation):
        finding = check(case)
        assert finding.verdict == "ok", finding
        assert abs(finding.number or 0) < 0.1, "rounding, or a share by chance"


@pytest.mark.parametrize("change", ["bfloat16", "int8"])
def test_rounding_is_no_mistake(change: str):
    if change == "int8":
        case = make_case(int8=True)
    else:
        case = make_case(dataclasses.replace(TINY.backbone, dtype=change))
    for check in (check_padding, check_cache):
        assert check(case).verdict == "ok", check(case)


def test_attention_to_padding_is_wrong():
    broken = make_case(Unmasked(TINY.backbone.config))
    finding = check_padding(broken)
    assert finding.verdict == "wrong"
    assert "answers depend on how long the other rows of a batch are" in finding.says
    # Its cache is as its forward pass is.
    assert check_cache(broken).verdict == "ok"


def test_a_cache_that_forgets_is_wrong():
    broken = make_case(Forgetful(TINY.backbone.config))
    finding = check_cache(broken)
    assert finding.verdict == "wrong"
    assert "training and answering see different models" in finding.says
    assert check_padding(broken).verdict == "ok"


def test_a_model_that_answers_in_sentinels_is_not_adapted():
    finding = check_adaptation(make_case(Unadapted(TINY.backbone.config)))
    assert finding.verdict == "wrong"
    assert finding.number == pytest.approx(1, abs=1e-3)
    assert "Use an LM-adapted checkpoint" in finding.says


def test_a_vocabulary_without_sentinels_is_skipped():
    bare = load_vocabulary(resolve("bundled:nano"), extra_ids=0)
    case = dataclasses.replace(make_case(), vocabulary=bare)
    assert sentinel_ids(bare) == []
    finding = check_adaptation(case)
    assert (finding.verdict, finding.number) == ("skipped", None)


@pytest.mark.parametrize("file", ["spiece.model", "tokenizer.json"])
def test_the_sentinels_of_t5_are_found_in_either_format(shared, file: str):
    vocabulary = load_vocabulary(shared / "data" / "vocab" / "t5" / file)
    assert sentinel_ids(vocabulary) == list(np.arange(32099, 31999, -1))
