"""What is wrong in `jaxprompt serve` is told in a line, before a model is read."""

import socket
from pathlib import Path

import pytest

from jaxprompt.cli import main
from jaxprompt.serve.server import listen


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--prompts", "reviews"], "--prompts 'reviews': write NAME=FILE"),
        (["--prompts", "a/b=own.safetensors"], "prompt name 'a/b': use up to 100"),
        (["--prompts", "a=here", "a=here"], "--prompts names a twice"),
        (["--prompts", "a=absent"], "no prompt file at absent: check the path"),
        (["--bank=absent"], "no folder absent of prompts"),
        (["--slots=0"], "--slots=0: use 1 or more"),
        (["--port=70000"], "--port=70000: use one below 65536"),
        (["--slot_tokens=31"], "--slot_tokens=31: use 32 or more"),
        (["--quantise=int2"], "'int2'"),
        (["--key_file=empty"], "empty holds no key: write one into it"),
    ],
)
def test_mistakes_are_told_in_a_line(
    flags: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    Path("empty").touch()
    assert main(["serve", "--model=nowhere/nothing", *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.mark.parametrize("variable", ["JAXPROMPT_KEY", "JAXPROMPT_ADMIN_KEY"])
def test_an_empty_key_is_no_open_door(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(variable, "")
    assert main(["serve", "--model=nowhere/nothing"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{variable} is empty, which is no key" in line


def test_no_part_of_an_answer_waits_for_the_part_before_to_be_confirmed():
    with listen("127.0.0.1", 0) as listening:
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: "):
            listen("127.0.0.1", port)
