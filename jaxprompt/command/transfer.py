"""What each command about transfer asks of runs/transfer."""

import argparse
from pathlib import Path

# What a command needs is imported when it runs, so that --help does not wait for JAX.


def similarity(flags: argparse.Namespace) -> None:
    """Compares prompts."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.similarity import compare

    compare(
        runs.find_prompts(flags.prompts),
        rows=flags.rows,
        scores=_path(flags.scores),
        expected=_path(flags.expected),
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
