"""A line that nobody can be told stops nothing; an answer that is lost is an error."""

import io
import os
import sys

import pytest

from jaxprompt.cli import main
from jaxprompt.screen.terminal import say


@pytest.fixture
def full_disk():
    # Without a buffer, which would try again when it is closed.
    with open("/dev/full", "wb", buffering=0) as disk:
        yield io.TextIOWrapper(disk, write_through=True)


def test_a_problem_is_not_told_on_a_full_disk(full_disk, monkeypatch):
    monkeypatch.setattr(sys, "stderr", full_disk)
    say("a problem", problem=True)


def test_an_answer_is(full_disk, monkeypatch):
    monkeypatch.setattr(sys, "stdout", full_disk)
    with pytest.raises(OSError, match="No space left"):
        say("an answer")


def test_what_nobody_reads_ends_no_command(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        for _ in range(3):
            say("a table's line" * 1000)
        assert main(["list", "tasks"]) == 0
