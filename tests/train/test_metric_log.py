"""The curves of a resumed run are those of one that was never stopped."""

import json

import pytest
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from jaxprompt.train.metrics import MetricLog


@pytest.fixture
def lines(tmp_path):
    def read():
        return (tmp_path / "metrics.jsonl").read_text().splitlines()

    return read


def write(workdir, first_step, *steps):
    log = MetricLog(workdir, first_step)
    for step in steps:
        log.write(step, {"loss": 1.0 / step})
    log.close()


def board_steps(workdir):
    """The steps of all events that TensorBoard's files hold."""
    events = (
        event
        for path in (workdir / "tensorboard").iterdir()
        for event in LegacyEventFileLoader(str(path)).Load()
    )
    return sorted(event.step for event in events if event.HasField("summary"))


def test_lines_hold_the_step_and_the_scalars(tmp_path, lines):
    log = MetricLog(tmp_path, 0)
    log.write(5, {"loss": 0.5, "norm": float("inf")})
    # Whole already, while the run goes on.
    assert [json.loads(line) for line in lines()] == [
        {"step": 5, "loss": 0.5, "norm": None}
    ]
    log.close()
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()]


def test_a_resumed_run_tells_no_step_twice(tmp_path, lines):
    write(tmp_path, 0, 1, 2, 3, 4)
    write(tmp_path, 2, 3, 4, 5)
    assert [json.loads(line)["step"] for line in lines()] == [1, 2, 3, 4, 5]
    assert board_steps(tmp_path) == [1, 2, 3, 4, 5]


def test_a_board_file_that_a_kill_cut_is_read_up_to_there(tmp_path):
    write(tmp_path, 0, 1, 2)
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    write(tmp_path, 2, 3)
    assert board_steps(tmp_path) == [1, 3]


@pytest.mark.parametrize("rest", ['{"step": 3, "lo', "{", '{"step": 3, "loss": 0.3'])
def test_a_line_that_a_kill_cut_is_dropped(tmp_path, lines, rest):
    write(tmp_path, 0, 1, 2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(rest)
    write(tmp_path, 4, 5)
    assert [json.loads(line)["step"] for line in lines()] == [1, 2, 5]


def test_a_new_run_starts_over(tmp_path, lines):
    write(tmp_path, 0, 1, 2)
    write(tmp_path, 0, 1)
    assert [json.loads(line)["step"] for line in lines()] == [1]
    assert board_steps(tmp_path) == [1]
