"""Reading gin leaves the program's own gin as it was, and threads do not meet in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gin
import pytest

from jaxprompt.command.configure import configure

RUN = "gin/runs/prompt_tuning.gin"


@gin.configurable
def greet(name: str = "nobody") -> str:
    return name


@pytest.fixture
def own_gin() -> Iterator[None]:
    gin.parse_config("greet.name = 'Ada'")
    gin.finalize()
    yield
    gin.clear_config()


@pytest.mark.usefixtures("own_gin")
@pytest.mark.parametrize("setting", ["STEPS=7", "NO_SUCH_NAME=7"])
def test_what_the_program_set_by_gin_is_there_afterwards(setting: str):
    before = gin.config_str()
    try:
        run, _ = configure([RUN], [setting])
        assert run.pace.steps == 7
    except ValueError:
        assert setting != "STEPS=7"
    assert greet() == "Ada"
    assert gin.config_str() == before
    assert gin.config_is_locked()


def test_threads_read_their_own_settings():
    def steps(number: int) -> tuple[int, str]:
        run, config = configure([RUN], [f"STEPS={number}"])
        return run.pace.steps, config

    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(steps, range(1, 33)))
    assert [number for number, _ in read] == list(range(1, 33))
    assert all(f"STEPS = {number}\n" in config for number, config in read)
