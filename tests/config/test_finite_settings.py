"""Settings that Python gives: a number that is none is refused by its name."""

import math

import pytest

from jaxprompt.config.settings import Evaluation, HeadStart, Optimizer, PromptStart
from jaxprompt.evaluate.methods import check_method


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Optimizer, "weight_decay"),
        (Optimizer, "clip_norm"),
        (Optimizer, "z_loss"),
        (Evaluation, "alpha"),
        (PromptStart, "stddev"),
        (HeadStart, "stddev"),
    ],
)
def test_a_number_that_is_none_is_refused(kind: type, name: str, value: float):
    message = rf"^{kind.__name__}\.{name} is {value}: it must be a finite number$"
    with pytest.raises(ValueError, match=message):
        kind(**{name: value})


def test_beams_take_no_alpha_that_is_no_number():
    options = {"length": 4, "beams": 2, "top_p": 0.9, "temperature": 1.0}
    check_method("beam", alpha=0.0, **options)
    with pytest.raises(ValueError, match=r"alpha nan: use .* a finite alpha of 0"):
        check_method("beam", alpha=math.nan, **options)
