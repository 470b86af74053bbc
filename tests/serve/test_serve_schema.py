"""Schemathesis asks what /openapi.json describes, and what it forbids.

It is a program of its own, as the browser is: its packages stay out of the library's.
"""

import os
import shutil
import subprocess

import pytest
from served_models import serving, write_model

_SECONDS = 5
"""How long it may ask."""


def find_schemathesis() -> str:
    """Returns the program's path, that of $SCHEMATHESIS first, or skips the test."""
    found = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if found is None:
        pytest.skip("no schemathesis: pip install it anywhere, or set SCHEMATHESIS")
    return found


def test_every_request_is_answered_or_refused_as_the_description_says(tmp_path):
    program = find_schemathesis()
    write_model(tmp_path)
    with serving(tmp_path, "--bank=bank", JAXPROMPT_ADMIN_KEY="chief") as server:
        words = [program, "run", f"{server.url}/openapi.json", "--seed=1"]
        words += ["--header=Authorization: Bearer chief", f"--max-time={_SECONDS}"]
        words += ["--phases=examples,coverage,fuzzing", "--max-examples=10"]
        # No schema says which texts and answers have room in a slot.
        words += ["--no-shrink", "--exclude-checks=positive_data_acceptance"]
        told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout
        assert " passed" in told.stdout
        assert not any("Traceback" in line for line in server.lines)
