"""A run's result.json: read, and refused where it is not what a run writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.config import LOSS, VOCABULARY
from jaxprompt.files.json_file import read_json_object
from jaxprompt.report.results.rows import members_of
from jaxprompt.screen.quoting import quoted, quoted_path

_FIX = "delete it and train again, or leave its folder out"

_Fields = Mapping[str, type | tuple[type, ...]]

_NUMBER = (int, float)

_LARGEST = 1e100
"""No score, loss or time of a run is larger; of such, deviations can be computed."""

_VOCABULARY: _Fields = {
    "task": str,
    "pieces": int,
    "sentinels": int,
    "tokens_per_word": _NUMBER,
    "unknown": _NUMBER,
    "seconds": _NUMBER,
}
"""What a table needs of the result of a vocabulary, and the type of it."""

_LOSSES: _Fields = dict.fromkeys(
    ("loss", "other_input_loss", "unigram_entropy", "accuracy"), _NUMBER
)

_BY_LOSS: _Fields = {
    "task": str,
    "split": str,
    "examples": int,
    "metric": str,
    "score": _NUMBER,
    **_LOSSES,
    "objectives": dict,
}
"""Of a run that is measured by its loss."""

_SHIFT: _Fields = {
    "metric": str,
    "majority": _NUMBER,
    "examples": int,
    "score": _NUMBER,
    "illegal": _NUMBER,
}
"""Of a member's score on a task that its training never saw."""

_MEMBER: _Fields = {
    "task": str,
    "split": str,
    "untuned": _NUMBER,
    **_SHIFT,
    "metrics": dict,
    "backbone": str,
    "seed": int,
}
"""Of each member of a run that is measured by its answers."""

_VOTE: _Fields = {
    "task": str,
    "metric": str,
    "members": int,
    "average": _NUMBER,
    "best": _NUMBER,
    "vote": _NUMBER,
}
"""Of each vote."""


def read_result_file(path: Path) -> dict[str, Any]:
    """Reads the result of a run.

    Args:
        path: Its result.json.

    Returns:
        Its content, which has all that a table, a page or a card shows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object, or lacks what every such run writes.
    """
    result = read_json_object(path, _FIX, undefined=True)
    where = quoted_path(path)
    if result.get("trains") == VOCABULARY:
        _check(where, "", result, _VOCABULARY)
    elif result.get("metric") == LOSS:
        _check(where, "", result, _BY_LOSS)
        for name, losses in result["objectives"].items():
            one = f" of objective {quoted(name)}"
            _check(where, one, losses, {"rate": _NUMBER, **_LOSSES})
    else:
        _check_scores(where, result)
    return result


def _check_scores(where: str, result: Mapping[str, Any]) -> None:
    members = members_of(result)
    if not isinstance(members, list) or not members:
        raise ValueError(
            f"{where}: members is {quoted(members)}: it must list one or more: {_FIX}"
        )
    for number, member in enumerate(members):
        _check(where, f" of member {number}", member, _MEMBER)
        _check_numbers(where, f" of member {number}", member["metrics"])
        shift = member.get("shift", {})
        _check(where, f" of member {number}", {"shift": shift}, {"shift": dict})
        for task, scores in shift.items():
            _check(where, f" on {quoted(task)} of member {number}", scores, _SHIFT)
        if shift.keys() != members[0].get("shift", {}).keys():
            raise ValueError(
                f"{where}: shift of member {number} has other tasks than that of "
                f"member 0: {_FIX}"
            )
    if "members" in result:
        means = dict.fromkeys(("score", "majority", "untuned"), _NUMBER)
        _check(where, "", result, {"metric": str, **means})
    votes = result.get("votes", [])
    _check(where, "", {"votes": votes}, {"votes": list})
    for number, vote in enumerate(votes):
        _check(where, f" of vote {number}", vote, _VOTE)
    for name in ("seconds", "steps", "hand_written"):
        for one in (result, *members):
            _check(where, "", {name: one.get(name, 0)}, {name: _NUMBER})


def _check_numbers(where: str, whose: str, values: Mapping[str, Any]) -> None:
    _check(where, whose, values, dict.fromkeys(values, _NUMBER))


def _check(where: str, whose: str, entry: Any, fields: _Fields) -> None:
    """Raises ValueError unless an entry is an object with these fields.

    A number may be NaN, which a metric is that is not defined.
    """
    for field, kind in fields.items():
        value = entry.get(field) if isinstance(entry, dict) else None
        # True is no number, though Python has it so.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(
                f"{where}: {quoted(field)[1:-1]}{whose} is {quoted(value)}, not "
                f"{_name(kind)}: this is no result of a run: {_FIX}"
            )
        if isinstance(value, _NUMBER) and abs(value) > _LARGEST:
            raise ValueError(
                f"{where}: {quoted(field)[1:-1]}{whose} is {quoted(value)}, larger than"
                f" {_LARGEST:g}: this is no result of a run: {_FIX}"
            )


def _name(kind: type | tuple[type, ...]) -> str:
    if kind == _NUMBER:
        return "a number"
    names = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
    return names[kind] if isinstance(kind, type) else "a value"
