"""A folder belongs to one run, and to one process at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxprompt.config import Run
from jaxprompt.runs.keep.workdir import (
    check_unclaimed,
    check_workdir,
    check_writable,
    claim_workdir,
    release_workdir,
)

HOLD = """
import sys
from pathlib import Path
from jaxprompt.runs.keep.workdir import claim_workdir
claim_workdir(Path(sys.argv[1]), "SEED = 0")
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_died(tmp_path: Path):
    workdir = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, workdir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder.stdout, holder.stdin:
        assert holder.stdout.readline() == "claimed\n"
        with pytest.raises(ValueError, match=f"another process trains in .*{workdir}"):
            claim_workdir(workdir, "SEED = 0")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        claim_workdir(workdir, "SEED = 0")
        release_workdir(workdir)


def test_a_folder_is_released_for_the_next_run_of_this_process(tmp_path: Path):
    for _ in range(2):
        claim_workdir(tmp_path, "SEED = 0")
        with pytest.raises(ValueError, match="another process trains"):
            claim_workdir(tmp_path, "SEED = 0")
        release_workdir(tmp_path)
    release_workdir(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["operative_config.gin"]


def test_what_another_run_did_since_the_first_look_is_seen(tmp_path: Path):
    # Two commands that start together: the second is still reading its data.
    check_workdir(tmp_path, "SEED = 1")
    claim_workdir(tmp_path, "SEED = 0")
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    release_workdir(tmp_path)
    with pytest.raises(ValueError, match="SEED was 0 and is 1"):
        claim_workdir(tmp_path, "SEED = 1")
    assert (tmp_path / "operative_config.gin").read_text() == "SEED = 0"
    claim_workdir(tmp_path, "SEED = 0")  # The refused one holds no lock.
    release_workdir(tmp_path)


@pytest.mark.parametrize(
    ("trains", "name"),
    [
        ("prompt", "prompt.safetensors"),
        ("prompt", "prompts"),
        ("prompt", "report.html"),
        ("model", "model"),
        ("vocabulary", "spiece.model"),
        ("vocabulary", "tokenizer_config.json"),
    ],
)
def test_what_no_run_has_left_there_is_not_replaced(
    tmp_path: Path, trains: str, name: str
):
    run = Run(trains=trains)
    check_unclaimed(tmp_path / "new", run)
    check_unclaimed(tmp_path, run)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "metrics.jsonl").touch()
    check_unclaimed(tmp_path, run)
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"has {name}, which the run would replace"):
        check_unclaimed(tmp_path, run)
    claim_workdir(tmp_path, "SEED = 0")
    release_workdir(tmp_path)
    check_unclaimed(tmp_path, run)


def test_a_model_may_lie_where_its_prompt_is_trained(tmp_path: Path):
    (tmp_path / "model").mkdir()
    check_unclaimed(tmp_path, Run())


@pytest.mark.parametrize("left", ["checkpoints/2", "result.json", "prompt.safetensors"])
def test_a_folder_is_a_runs_from_its_first_checkpoint_on(tmp_path: Path, left: str):
    claim_workdir(tmp_path, "SEED = 0")
    release_workdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "metrics.jsonl").touch()
    check_workdir(tmp_path, "SEED = 1")
    (tmp_path / left).mkdir()
    with pytest.raises(ValueError, match="SEED was 0 and is 1"):
        check_workdir(tmp_path, "SEED = 1")


@pytest.mark.parametrize(
    "name",
    [
        *("tensorboard", "checkpoints", "prompts", "model", "metrics.jsonl", ".lock"),
        *("metrics.csv", "loggers"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_run_writes_through_no_link(tmp_path: Path, name: str, there: bool):
    elsewhere, workdir = tmp_path / "elsewhere", tmp_path / "run"
    workdir.mkdir()
    if there:
        elsewhere.mkdir()
    (workdir / name).symlink_to(elsewhere)
    with pytest.raises(ValueError, match=f"{name} is a link to .*elsewhere, and a run"):
        check_writable(workdir)


def test_a_workdir_may_itself_be_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    check_writable(tmp_path / "run")


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(tmp_path: Path):
    claim_workdir(tmp_path, "SEED = 0\nPromptStart.length = 3")
    release_workdir(tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    check_workdir(tmp_path, "SEED = 0\nPromptStart.deep = {}\nPromptStart.length = 3")
    with pytest.raises(ValueError, match=r"deep was {} and is {'cross': 2}"):
        check_workdir(
            tmp_path,
            "SEED = 0\nPromptStart.deep = {'cross': 2}\nPromptStart.length = 3",
        )
    with pytest.raises(ValueError, match=r"PromptStart.length was 3 and is unset"):
        check_workdir(tmp_path, "SEED = 0")


def test_a_new_name_counts_by_what_it_sets(tmp_path: Path):
    claim_workdir(tmp_path, "SEED = 0\nRun.seed = %SEED")
    release_workdir(tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    with_macro = "SEED = 0\nRun.seed = %SEED\nDEEP = {}\nPromptStart.deep = %DEEP"
    check_workdir(tmp_path, with_macro)
    with pytest.raises(ValueError, match=r"deep was {} and is %DEEP"):
        check_workdir(tmp_path, with_macro.replace("{}", "{'cross': 2}"))


def test_other_loggers_are_the_same_run(tmp_path: Path):
    """They change nothing of what is trained."""
    config = (
        "LOGGERS = ('tensorboard',)\nSTEPS = 4\nOptimizer.schedule = 'constant'\n"
        "Pace.steps = %STEPS\nRun.loggers = %LOGGERS\n"
    )
    claim_workdir(tmp_path, config)
    release_workdir(tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    told = config.replace("('tensorboard',)", "['csv', 'wandb']")
    check_workdir(tmp_path, told)
    check_workdir(tmp_path, config.replace("%LOGGERS", "('csv',)"))
    check_workdir(tmp_path, told.replace("STEPS = 4", "STEPS = 8"))
    with pytest.raises(ValueError, match=r"configuration: STEPS was 4 and is 2\. Use"):
        check_workdir(tmp_path, told.replace("STEPS = 4", "STEPS = 2"))
    # A name that something else takes its value from too is no matter of loggers.
    shared = "PromptStart.text = %LOGGERS\n"
    (tmp_path / "operative_config.gin").write_text(config + shared)
    with pytest.raises(ValueError, match=r"LOGGERS was \('tensorboard',\) and is \['"):
        check_workdir(tmp_path, told + shared)


def test_a_run_from_before_a_setting_was_renamed_goes_on(tmp_path: Path):
    claim_workdir(tmp_path, "SHOTS = 2\nEvaluation.shots = %SHOTS")
    release_workdir(tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    renamed = (
        "EXAMPLES_IN_INPUT = {}\nEvaluation.examples_in_input = %EXAMPLES_IN_INPUT"
    )
    check_workdir(tmp_path, renamed.format(2))
    with pytest.raises(ValueError, match="EXAMPLES_IN_INPUT was 2 and is 3"):
        check_workdir(tmp_path, renamed.format(3))
