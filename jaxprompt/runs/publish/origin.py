"""Which code made a result: the version, and the commit where git knows one."""

import json
import subprocess
from importlib import metadata
from pathlib import Path

_CHECKOUT = Path(__file__).parents[3]
_SECONDS = 5
"""After which git is not waited for."""


def code_version() -> str:
    """Returns this program's version, as "0.1.0, commit 29707f20e1d4".

    A checkout with changes that are not committed is said to have some.
    """
    version = metadata.version("jaxprompt")
    commit = _of_checkout() if (_CHECKOUT / ".git").exists() else _of_install()
    return f"{version}, commit {commit}" if commit else version


def _of_checkout() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{commit} with changes" if commit and changed else commit


def _git(*arguments: str) -> str:
    """Returns what git prints; nothing without git, or if it fails."""
    command = ["git", "-C", str(_CHECKOUT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _of_install() -> str:
    """Returns the commit that pip installed, if it came from a repository.

    Source: PEP 610, direct_url.json.
    """
    text = metadata.distribution("jaxprompt").read_text("direct_url.json")
    where = json.loads(text) if text else {}
    return where.get("vcs_info", {}).get("commit_id", "")[:12]
