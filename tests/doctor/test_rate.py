"""A learning rate that is orders of magnitude off is found out; a sane one passes."""

import numpy as np
import pytest
from cases import make_case

from jaxprompt.doctor.finding import Finding
from jaxprompt.doctor.rate import (
    Trial,
    check_rate,
    rates_to_try,
    try_rates,
    why_untried,
)
from jaxprompt.prompts.prompt import empty_prompt, make_prompt
from jaxprompt.train.optimizer import adafactor, train_only


def run_trial(rates: list[float], learning_rate: float = 1.0) -> Trial:
    case = make_case()
    tx = train_only(adafactor(learning_rate, weight_decay=0.0))
    return try_rates(case, case.prompt, tx, rates)


def test_the_rate_its_neighbours_and_common_ones_are_tried():
    assert rates_to_try(0.3) == pytest.approx([0.03, 0.3, 3.0])
    assert rates_to_try(1e-6) == pytest.approx([1e-7, 1e-6, 1e-5, 0.03, 0.3, 3.0])
    assert rates_to_try(0.2) == pytest.approx([0.02, 0.2, 2.0])


def test_only_rows_that_train_themselves_are_tried():
    start = make_prompt(np.ones((2, 4), np.float32))
    assert why_untried(start, "none") == ""
    assert "reparametrisation 'lstm', which other rates" in why_untried(start, "lstm")
    assert "what its training started from" in why_untried(None, "none")
    assert "no soft tokens" in why_untried(empty_prompt(4), "none")


@pytest.fixture(scope="module")
def trial() -> Trial:
    return run_trial([1e-7, 1e-6, 0.03, 0.3, 3.0, 1e4])


def test_rates_tried_together_do_what_each_does_alone(trial: Trial):
    (alone,) = run_trial([1.0], learning_rate=0.3).losses.values()
    assert trial.losses[0.3] == pytest.approx(alone, rel=1e-3)
    assert len({round(nats, 6) for nats in trial.losses.values()}) >= 5
    assert trial.losses[0.3] < 0.9 * trial.before
    assert np.diff(list(trial.moves.values())).min() > 0, "a higher rate goes farther"


@pytest.mark.parametrize(
    ("rate", "verdict", "says"),
    [
        (0.3, "ok", "The run's 0.3 is sane."),
        (1e4, "wrong", "it is orders of magnitude too high. Use "),
        (1e-6, "wrong", "is orders of magnitude too low: its 400 steps go less far"),
    ],
)
def test_real_rates_are_judged(trial: Trial, rate: float, verdict: str, says: str):
    finding = check_rate(trial, rate, steps=400)
    assert finding.verdict == verdict, finding
    assert says in finding.says
    assert finding.number == rate


def judge(rate: float, steps: int = 400, **losses: float) -> Finding:
    found = {float(name[1:].replace("_", ".")): x for name, x in losses.items()}
    trial = Trial(before=1.0, losses=found, moves=dict.fromkeys(found, 1.0))
    return check_rate(trial, rate, steps)


def test_a_tenfold_rate_is_a_warning_and_a_thousandfold_is_wrong():
    finding = judge(3.0, r0_3=0.2, r3=1.4)
    assert finding.verdict == "warning"
    assert "The run's 3 is 10 times too high: use 0.3." in finding.says
    finding = judge(30.0, r0_03=0.2, r30=1.4)
    assert finding.verdict == "wrong"
    assert "1,000 times too high: use 0.03." in finding.says


def test_a_low_rate_may_get_there_in_a_long_run():
    losses = {"r0_001": 0.99, "r0_3": 0.2}
    assert judge(0.001, steps=400, **losses).verdict == "wrong"
    finding = judge(0.001, steps=30_000, **losses)
    assert finding.verdict == "warning"
    assert "The run's 0.001 is slow beside 0.3." in finding.says


def test_where_no_rate_helps_it_is_not_the_rate():
    finding = judge(0.3, r0_3=1.0, r3=1.2)
    assert finding.verdict == "warning"
    assert "None helps, so the rate is not what is wrong" in finding.says
    assert judge(0.3, r0_3=float("inf"), r3=float("inf")).verdict == "warning"
