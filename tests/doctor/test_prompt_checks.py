"""A prompt that does nothing, cannot learn or is far off the words is found out."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from cases import LENGTH, TINY, WORDS, make_case

from jaxprompt.doctor.prompt import check_effect, check_gradient, check_norms
from jaxprompt.models.t5.model import T5


class Deaf(T5):
    """Its decoder hears nothing of what the encoder reads."""

    def encode(self, *arguments: Any, **options: Any) -> Any:
        encoded = super().encode(*arguments, **options)
        return dataclasses.replace(encoded, states=jnp.zeros_like(encoded.states))


def test_a_right_prompt_has_nothing_wrong():
    case = make_case()
    for check in (check_effect, check_gradient, check_norms):
        assert check(case).verdict == "ok", check(case)
    assert check_gradient(case).number == 0


def test_a_prompt_that_the_decoder_does_not_hear_has_no_effect_and_no_gradient():
    case = make_case(Deaf(TINY.backbone.config))
    effect, gradient = check_effect(case), check_gradient(case)
    assert (effect.verdict, gradient.verdict) == ("wrong", "wrong")
    assert "do not reach the answer" in effect.says
    assert gradient.number == LENGTH


def test_rows_without_gradient_are_named():
    rows = WORDS[:LENGTH].copy()
    rows[1] *= 1e12
    finding = check_gradient(make_case(rows=rows))
    assert (finding.verdict, finding.number) == ("wrong", 1)
    assert "1 of 3 soft tokens have no gradient" in finding.says
    assert "what they do: 1." in finding.says


@pytest.mark.parametrize(
    ("factor", "verdict", "advice"),
    [
        (1, "ok", ""),
        (30, "warning", "the learning rate is too high: lower it."),
        (1 / 30, "warning", "the start is too small: start from 'vocabulary'"),
        (1e5, "wrong", "No word is like that: the learning rate is too high."),
        (0, "wrong", "the start is too small. Start from 'vocabulary'"),
    ],
)
def test_rows_are_held_against_words(factor: float, verdict: str, advice: str):
    rows = factor * WORDS[:LENGTH]
    finding = check_norms(make_case(rows=rows))
    assert finding.verdict == verdict
    assert advice in finding.says
    own = np.median(np.linalg.norm(WORDS[:LENGTH], axis=1))
    # The nano's last 144 ids are unused or sentinels, and no words.
    words = np.median(np.linalg.norm(WORDS[: 6000 - 10], axis=1))
    assert finding.number == pytest.approx(factor * own / words, rel=1e-2)
