"""What `pip install jaxprompt` brings is enough for one's own data, anywhere."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LARGEST = 1.2e9
"""Bytes that the packages may take."""

PROMPT = "run/prompt.safetensors"

SETTINGS = [
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin_file=gin/tasks/own.gin",
    "--gin.MODEL='bundled:nano'",
    "--gin.OwnTask.files={'train': 'rows.jsonl', 'validation': 'rows.jsonl'}",
    "--gin.PROMPT_LENGTH=2",
    "--gin.BATCH_SIZE=2",
    "--gin.STEPS=1",
]


def required() -> list[metadata.Distribution]:
    """What jaxprompt requires without any extra, and what that requires, and so on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, metadata.Distribution] = {}
    waiting = [(line, "") for line in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        line, extra = waiting.pop()
        needed = Requirement(line)
        if needed.marker and not needed.marker.evaluate({"extra": extra}):
            continue
        for part in {"", *needed.extras} - {
            x for name, x in seen if name == needed.name
        }:
            seen.add((needed.name, part))
            found[needed.name] = there = metadata.distribution(needed.name)
            waiting += [(line, part) for line in there.requires or ()]
    return list(found.values())


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", symlinks=True)
    packages = Path(
        sysconfig.get_path("purelib", "venv", {"base": str(folder / "env")})
    )
    for there in required():
        # The first part of each path is a module, a package or what pip wrote of it.
        for name in {path.parts[0] for path in there.files or ()} - {".."}:
            source = Path(str(there.locate_file(name)))
            if not (packages / name).exists():
                (packages / name).symlink_to(source)
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    subprocess.run([*built, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    found = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(found), "install", "--no-deps"]
    subprocess.run([*pip, "--quiet", "--no-index", str(wheel)], check=True)
    return found


COMMANDS = (
    ["train", *SETTINGS, "--workdir=run"],
    ["evaluate", f"--prompt={PROMPT}"],
    ["predict", f"--prompt={PROMPT}", "--input=rows.jsonl", "--output=out.jsonl"],
    ["inspect", f"--prompt={PROMPT}"],
    ["export", PROMPT, "--format=google", "--output=out.npy"],
    ["doctor", *SETTINGS],
)
"""What works on one's own data without TensorFlow."""

PROGRAM = """
import json, sys
from jaxprompt.cli import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0, arguments
"""


def run_in(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": ""}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment
    )


def test_own_data_trains_answers_and_is_scored(python: Path, tmp_path: Path):
    rows = [{"text": f"review {n}", "label": str(n % 2)} for n in range(4)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines)
    done = run_in(tmp_path, python, "-c", PROGRAM, json.dumps(COMMANDS))
    assert done.returncode == 0, done.stderr
    answers = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in answers] == [x["text"] for x in rows]


def test_an_official_task_says_what_to_install(python: Path, tmp_path: Path):
    command = python.with_name("jaxprompt")
    task = ["--gin_file=gin/tasks/rte.gin", "--gin.MODEL='bundled:nano'"]
    done = run_in(tmp_path, command, "train", SETTINGS[0], *task, "--workdir=run")
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "pip install 'jaxprompt[official]'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_packages_take_no_more_room_than_promised():
    paths = (path for there in required() for path in there.files or ())
    sizes = {
        str(path): path.locate() for path in paths if not str(path).endswith(".pyc")
    }
    taken = sum(Path(x).stat().st_size for x in sizes.values() if Path(x).exists())
    assert taken < LARGEST
