"""A folder belongs to one run, and to one process at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxprompt.runs.workdir import claim_workdir, release_workdir

HOLD = """
import sys
from pathlib import Path
from jaxprompt.runs.workdir import claim_workdir
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
