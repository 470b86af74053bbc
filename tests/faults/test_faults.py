"""Every fault is survived or refused in one line; tools/fault_table.py tries it often.

Runs are processes of their own, two at a time.
"""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_table import FILE_FAULTS, PROCESS_FAULTS
from faults_damage import CannotTry
from faults_setting import UMASK, Setting, make_setting

SEED = 1


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return make_setting(tmp_path_factory.mktemp("faults") / "setting")


@pytest.fixture(scope="module")
def tried(
    setting: Setting,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Future[None]]]:
    """The faults that are asked for, all under way."""
    asked = {item.callspec.params.get("fault") for item in _cases(request)}
    pool = ThreadPoolExecutor(2)
    yield {
        name: pool.submit(
            fault, setting, tmp_path_factory.mktemp("fault"), random.Random(SEED)
        )
        for name, fault in PROCESS_FAULTS.items()
        if name in asked
    }
    pool.shutdown(cancel_futures=True)


def _cases(request: pytest.FixtureRequest) -> list[pytest.Function]:
    return [item for item in request.session.items if hasattr(item, "callspec")]


def test_all_that_a_run_writes_has_the_mode_that_its_umask_gives(setting: Setting):
    modes = {path: path.stat().st_mode & 0o777 for path in setting.whole.rglob("*")}
    usual = {path: (0o777 if path.is_dir() else 0o666) & ~UMASK for path in modes}
    assert modes == usual


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_what_is_given_is_refused_in_one_line(
    fault: str, setting: Setting, tmp_path: Path
):
    _try(lambda: FILE_FAULTS[fault](setting, tmp_path, random.Random(SEED)))


@pytest.mark.parametrize("fault", PROCESS_FAULTS)
def test_what_happens_to_a_run_costs_nothing(
    fault: str, tried: dict[str, Future[None]]
):
    _try(tried[fault].result)


def _try(act) -> None:
    try:
        act()
    except CannotTry as reason:
        pytest.skip(str(reason))
