"""A sweep is checked before any of its runs is configured."""

from typing import Any

import pytest

from jaxprompt.config import OfficialTask, Sweep

ARMS = {"short": {"PROMPT_LENGTH": 1}, "long": {"PROMPT_LENGTH": 20}}


def make_sweep(**changes: Any) -> Sweep:
    return Sweep(**{"title": "Length", "arms": ARMS, **changes})


@pytest.mark.parametrize("arms", [{}, [], None, "short"])
def test_a_sweep_without_arms_is_refused(arms: Any):
    with pytest.raises(ValueError, match="name one arm or more"):
        make_sweep(arms=arms)


@pytest.mark.parametrize("arm", ["", "a/b", "..", ".a", "a b", "a\n", "-a", 20])
def test_an_arm_that_is_no_folder_name_is_refused(arm: Any):
    with pytest.raises(ValueError, match=r"names a folder: use letters, digits and _"):
        make_sweep(arms={arm: {}})


@pytest.mark.parametrize("arm", ["a", "10K", "0.5", "span+sentinel", "class_labels"])
def test_a_folder_name_is_taken(arm: str):
    assert list(make_sweep(arms={arm: {}}).arms) == [arm]


def test_an_arm_sets_names_to_plain_values():
    values = {"A": 1, "B": 0.5, "C": None, "D": ["x", {"y": (True, "it's")}]}
    assert make_sweep(arms={"a": values}).arms["a"] == values
    with pytest.raises(ValueError, match=r"arm 'a' is 'uniform': give the gin names"):
        make_sweep(arms={"a": "uniform"})
    with pytest.raises(ValueError, match=r"sets TASK to OfficialTask.*Sweep\.tasks"):
        make_sweep(arms={"a": {"TASK": OfficialTask(name="rte")}})


def test_numbers_belong_to_arms_and_have_a_label():
    x = {"short": 1, "long": 20.0}
    assert make_sweep(axis="tokens", x=x).x == x
    # An arm without a number is a baseline.
    assert make_sweep(axis="tokens", x={"short": 1}).x == {"short": 1}
    with pytest.raises(ValueError, match=r"'middle', which is no arm: .* short, long"):
        make_sweep(axis="tokens", x={"middle": 5})
    with pytest.raises(ValueError, match=r"x of arm 'long' is '20': .* a number"):
        make_sweep(axis="tokens", x={"long": "20"})
    with pytest.raises(ValueError, match=r"axis is '' and .*'short': 1.* give both"):
        make_sweep(x={"short": 1})
    with pytest.raises(ValueError, match=r"axis is 'tokens' and Sweep\.x {}"):
        make_sweep(axis="tokens")


def test_tasks_have_folders_of_their_own():
    assert make_sweep(tasks=["gin/tasks/rte.gin"]).tasks == ["gin/tasks/rte.gin"]
    with pytest.raises(ValueError, match=r"use a list, \['gin/tasks/rte\.gin'\]"):
        make_sweep(tasks="gin/tasks/rte.gin")
    with pytest.raises(ValueError, match=r"two files of Sweep.tasks are called rte"):
        make_sweep(tasks=["gin/tasks/rte.gin", "mine/rte.gin"])
