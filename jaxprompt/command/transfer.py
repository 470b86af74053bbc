"""What each command about transfer asks of runs/transfer."""

import argparse
from pathlib import Path

# What a command needs is imported when it runs, so that --help does not wait for JAX.


def start(flags: argparse.Namespace) -> None:
    """Compares starts."""
    from jaxprompt.runs.transfer.start import compare_starts

    compare_starts(
        Path(flags.fresh),
        [Path(folder) for folder in flags.others],
        epsilon=flags.epsilon,
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


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


def index(flags: argparse.Namespace) -> None:
    """Writes the index of a bank."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.bank_index import index_bank

    files = runs.find_prompts(flags.prompts)
    index_bank(files, Path(flags.output), overwrite=flags.overwrite)


def nearest(flags: argparse.Namespace) -> None:
    """Ranks the prompts of a bank."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.retrieval import nearest

    nearest(
        Path(flags.source),
        runs.find_prompts(flags.bank),
        by=flags.by,
        rows=flags.rows,
        top=flags.top,
        start=flags.start,
        write=_path(flags.write),
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


def mix(flags: argparse.Namespace) -> None:
    """Mixes prompts."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.retrieval import mix_prompts

    mix_prompts(
        runs.find_prompts(flags.prompts),
        Path(flags.output),
        weights=None if flags.weights is None else _numbers(flags.weights),
        overwrite=flags.overwrite,
    )


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"weights {text!r} are no numbers: give one for each prompt, with commas "
            "between, as 0.7,0.3"
        ) from error


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
