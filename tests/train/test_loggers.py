"""No logger tells a step twice, whenever a run was killed and went on."""

import csv
import importlib.util
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from jaxprompt.train.loggers import LogStart, ToldOnce, check_loggers
from jaxprompt.train.metrics import MetricLog

SETTINGS = {"Pace.steps": "5", "Model.name": "'bundled:nano'"}


def run(workdir: Path, logger: str, first_step: int, *steps: int, kill: bool = False):
    """Tells training and validation of each step, as a process that starts there."""
    log = MetricLog(workdir, first_step, [logger], SETTINGS)
    for step in steps:
        log.write(step, {"loss": 1 / step})
        log.write(step, {"validation/accuracy": 10.0 * step})
    if not kill:  # A checkpoint comes.
        log.sync()
    log.close()


def in_csv(workdir: Path) -> list[tuple[int, str, float]]:
    with (workdir / "metrics.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return [(int(x["step"]), x["name"], float(x["value"])) for x in rows]


def records(path: Path) -> Iterator[bytes]:
    """The records of an offline run of W&B: LevelDB's log format behind 7 bytes."""
    content, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if (rest := 2**15 - place % 2**15) < 7:  # Of a block, which holds no header.
            place += rest
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # A whole record, or the end of one.
            yield record
            record = b""


def in_wandb(workdir: Path) -> list[tuple[int, str, float]]:
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # Its process has written all when it has ended.
    found, ids = [], set()
    for path in (workdir / "loggers" / "wandb").glob("offline-*/run-*.wandb"):
        for content in records(path):
            record = Record.FromString(content)
            if record.HasField("run"):
                ids.add(record.run.run_id)
            row = {
                item.key or ".".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            step = row.get("_step")
            found += [(step, k, v) for k, v in row.items() if not k.startswith("_")]
    assert len(ids) == 1, "one run, whatever was killed"
    return found


def in_mlflow(workdir: Path) -> list[tuple[int, str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"Pace.steps": "5", "Model.name": "'bundled:nano'"}
    return [
        (metric.step, metric.key, metric.value)
        for key in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, key)
    ]


READ: Mapping[str, Callable[[Path], list[tuple[int, str, float]]]] = {
    "csv": in_csv,
    "wandb": in_wandb,
    "mlflow": in_mlflow,
}


@pytest.fixture(params=READ)
def logger(request, tmp_path, monkeypatch) -> str:
    name = request.param
    if name != "csv" and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} comes with the extra `{name}`")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return name


def expected(*steps: int) -> list[tuple[int, str, float]]:
    return sorted(
        told
        for step in steps
        for told in ((step, "loss", 1 / step), (step, "validation/accuracy", 10 * step))
    )


def test_every_step_is_told_once(tmp_path: Path, logger: str):
    run(tmp_path, logger, 0, 1, 2, 3, kill=True)
    run(tmp_path, logger, 0, 1, 2, 3, 4, kill=True)  # From the start: no checkpoint.
    run(tmp_path, logger, 2, 3)
    run(tmp_path, logger, 2, 3, 4, 5)
    assert sorted(READ[logger](tmp_path)) == expected(1, 2, 3, 4, 5)


def test_a_line_that_a_kill_cut_is_dropped(tmp_path: Path):
    run(tmp_path, "csv", 0, 1, 2)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("3,loss,0.3")
    run(tmp_path, "csv", 2, 3)
    assert in_csv(tmp_path) == expected(1, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", r"metrics.csv:1: not 'step,name,value': delete the file"),
        ("step,name,value\n1,loss\n", r"metrics.csv:2: not 'a step, a name and a v"),
        ("step,name,value\nx,loss,1\n", r"metrics.csv:2: not"),
    ],
)
def test_a_table_of_something_else_is_told(tmp_path: Path, text: str, message: str):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        MetricLog(tmp_path, 1, ["csv"])


def test_runs_of_a_sweep_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def name(workdir: str) -> str:
        return LogStart(Path(workdir), 0, {}).name

    monkeypatch.chdir(tmp_path)
    arms = ["swept/rte/long", "swept/cb/long", "swept/cb/model/seed-0"]
    assert [name(arm) for arm in arms] == arms
    assert name(f"{tmp_path}/swept/rte/long/") == "swept/rte/long"
    assert name(".") == tmp_path.name
    assert name("../elsewhere/rte") == f"{tmp_path.parent}/elsewhere/rte"
    assert name("long" * 50 + "/seed-1").endswith("long/seed-1")
    assert len(name("long" * 50 + "/seed-1")) == 128


class Ledger:
    """A service that keeps what it is told, in the memory of a test."""

    def __init__(self, rows: list, run_id: str):
        self.id, self.rows = run_id, rows

    def tell(self, step: int, scalars: Mapping[str, float]) -> None:
        self.rows.append((step, dict(scalars)))

    def close(self) -> None:
        self.rows.append("closed")


class Services:
    """Opens runs of such a service: by their names, or new ones."""

    def __init__(self):
        self.runs: dict[str, list] = {}

    def __call__(self, start: LogStart, run_id: str | None) -> Ledger:
        name = run_id or f"run {len(self.runs)}"
        return Ledger(self.runs.setdefault(name, []), name)

    def open(self, workdir: Path, first_step: int, settings=SETTINGS) -> ToldOnce:
        start = LogStart(workdir, first_step, settings)
        return ToldOnce("mine", self, start)


def test_a_step_is_told_whole(tmp_path: Path):
    services = Services()
    log = services.open(tmp_path, 0)
    log.write(1, {"loss": 0.5})
    log.sync()  # A checkpoint, without a validation.
    log.write(2, {"loss": 0.4})
    log.close()  # Killed while it validates.
    assert services.runs == {"run 0": [(1, {"loss": 0.5}), "closed"]}
    log = services.open(tmp_path, 1)
    log.write(2, {"loss": 0.4})
    log.write(2, {"validation/accuracy": 50.0})
    log.write(3, {"loss": 0.3})
    assert services.runs["run 0"][2:] == [
        (2, {"loss": 0.4, "validation/accuracy": 50.0})
    ]
    log.close()


def test_another_run_in_the_folder_is_another_run_there(tmp_path: Path):
    services = Services()
    first = services.open(tmp_path, 0)
    first.write(1, {"loss": 0.5})
    first.sync()
    first.close()
    # Without a checkpoint the folder is the next run's, whose steps are its own.
    other = services.open(tmp_path, 0, {"Pace.steps": "9"})
    other.write(1, {"loss": 0.7})
    other.sync()
    other.close()
    # With one it is the same run, even if it is to last longer.
    longer = services.open(tmp_path, 1, {"Pace.steps": "20"})
    longer.write(2, {"loss": 0.6})
    longer.sync()
    longer.close()
    assert services.runs == {
        "run 0": [(1, {"loss": 0.5}), "closed"],
        "run 1": [(1, {"loss": 0.7}), "closed", (2, {"loss": 0.6}), "closed"],
    }


def test_what_was_told_survives_a_cut_line_and_nothing_else(tmp_path: Path):
    services = Services()
    services.open(tmp_path, 0).close()
    told = tmp_path / "loggers" / "mine.jsonl"
    told.write_text(told.read_text() + '{"step": 4}\n{"step": 1')
    log = services.open(tmp_path, 2)
    for step in (3, 4, 5):
        log.write(step, {"loss": 1.0})
    log.sync()
    assert services.runs["run 0"] == ["closed", (5, {"loss": 1.0})]
    log.close()
    told.write_text('{"id": "run 0"}\n')
    with pytest.raises(ValueError, match=r"mine.jsonl does not say which steps were"):
        services.open(tmp_path, 2)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["jsonl"], r"no logger 'jsonl': use tensorboard, csv, wandb, mlflow"),
        (["csv", "csv"], r"logger 'csv' is named twice"),
    ],
)
def test_loggers_that_are_not_there_are_told(names: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        check_loggers(names)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_not_there_is_told(name: str):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ValueError, match=rf"pip install 'jaxprompt\[{name}\]'"):
        check_loggers([name])
