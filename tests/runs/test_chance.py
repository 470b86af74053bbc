"""A score at chance is told, by how sure so many examples make it."""

from typing import Any

from jaxprompt.runs.measure.chance import chance_notes


def member(**fields: Any) -> dict[str, Any]:
    found = {"task": "asked", "seed": 3, "metric": "accuracy", "examples": 400}
    return {**found, "majority": 50.0, "score": 54.9, **fields}


def test_an_accuracy_within_two_standard_errors_is_at_chance():
    (note,) = chance_notes(member())
    assert note.startswith("asked, seed 3: accuracy 54.9 is at chance: the most")
    assert "has 50.0, and two standard errors of it on 400 examples are 5.0" in note
    assert chance_notes(member(score=55.1)) == []
    assert chance_notes(member(examples=4000)) == []
    assert chance_notes(member(metric="f1")) == []


def test_each_member_of_a_bank_is_told():
    result = {"metric": "accuracy", "members": [member(), member(seed=4, score=80.0)]}
    (note,) = chance_notes(result)
    assert "seed 3" in note
