"""The scripts of tools/ that a person starts."""

import re
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
PROTOCOL = ("side_by_side.py",)
"""What only another tool starts, by what stands on its standard input."""


def test_a_tool_asked_for_help_does_nothing_else():
    started = {
        tool.name: "ArgumentParser(" in tool.read_text()
        for tool in TOOLS.rglob("*.py")
        if "__main__" in tool.read_text()
    }
    assert [name for name, reads in started.items() if not reads] == [*PROTOCOL]


def test_a_single_round_is_compared_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(TOOLS)
    from side_by_side import comparison

    told = comparison({"ours": [2.0], "theirs": [3.0]}, "seconds a step")
    assert re.search(r"theirs / ours: 1.50 .*between 1.50 and 1.50", told)
