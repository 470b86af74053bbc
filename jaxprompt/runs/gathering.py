"""One page of many finished runs: results table, plot, ensembles, learning curves."""

import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jaxprompt.config import LOSS, VOCABULARY
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.report.pages.summary import RunFacts, write_summary
from jaxprompt.report.results.files import (
    FILES,
    results_table,
    rows_of,
    superglue_rows,
    write_results,
)
from jaxprompt.report.results.rows import undefined_metrics
from jaxprompt.runs.keep.bindings import resolve_bindings
from jaxprompt.runs.keep.curves import curves_of
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.keep.result_file import read_result_file
from jaxprompt.runs.keep.workdir import CONFIG, PAGE, RESULT
from jaxprompt.runs.publish.methods import Finished, name_methods
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.terminal import say, say_lines


def gather(
    folders: Sequence[Path],
    output: Path,
    *,
    tables: bool = False,
    overwrite: bool = False,
) -> Path:
    """Writes a page of all runs below some folders, and prints their results.

    Runs of the same method and task are one row of the table, their seeds its mean and
    standard deviation. Runs of pre-training are left out.

    Args:
        folders: Folders of runs, or of folders of them, at any depth.
        output: The page to write; its folder must be there.
        tables: Also write results.csv, results.md, results.png and results.svg beside
            it.
        overwrite: Whether these files may exist.

    Returns:
        The path of the page.

    Raises:
        ValueError: If there is no run, if one's files cannot be read, or if a file
            exists against `overwrite`.
        FileNotFoundError: If there is no such folder.
    """
    if output.suffix != ".html":
        raise ValueError(f"output {output} is a page: name a file that ends in .html")
    for path in (output, *(output.parent / name for name in FILES if tables)):
        check_output(path, overwrite)
    found = _read_results(folders)
    for folder, result in found.items():
        for undefined in undefined_metrics(result):
            say(f"{folder}: {undefined}, and so is every mean with it")
    root = _root(folders, list(found))
    runs = [
        Finished(PurePosixPath(folder.relative_to(root)), result, _settings(folder))
        for folder, result in found.items()
    ]
    methods = name_methods(runs)
    rows = [
        row
        for make in (rows_of, superglue_rows)
        for method in methods
        for row in make(method.name, [run.result for run in method.runs])
    ]
    tasks = list(dict.fromkeys(row.task for row in rows))
    rows.sort(key=lambda row: tasks.index(row.task))
    facts = [
        _facts(root / run.folder, run, method.name, output)
        for method in methods
        for run in method.runs
    ]
    settings = {method.name: method.settings for method in methods if method.settings}
    title = f"Results of {', '.join(folder.resolve().name for folder in folders)}"
    made = write_results(output.parent, rows, title=title) if tables else []
    write_summary(output, rows, facts, title=title, settings=settings)
    say_lines(results_table(rows))
    say(f"wrote {', '.join(map(str, [output, *made]))}")
    return output


def _read_results(folders: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Reads all results below the folders: run's folder -> content of result.json."""
    found: dict[Path, dict[str, Any]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no folder {quoted_path(folder)}: name a run's, or one of runs"
            )
        paths = sorted(folder.resolve().rglob(RESULT), key=_by_number)
        unfinished = [
            path.parent
            for path in sorted(folder.resolve().rglob(CONFIG), key=_by_number)
            if not (path.parent / RESULT).exists()
        ]
        # Among others, as of `runs/*`, one that still runs is no mistake.
        if not paths and not (unfinished and len(folders) > 1):
            raise ValueError(
                f"no run below {quoted_path(folder)}: no folder there has a {RESULT}, "
                "which a run writes when it is finished"
            )
        for path in unfinished:
            say(f"left out {path}: it is not finished")
        for path in paths:
            result = read_result_file(path)
            if result.get("trains") == VOCABULARY or result.get("metric") == LOSS:
                say(f"left out {path.parent}: pre-training has no score on a task")
            else:
                found[path.parent] = result
    if not found:
        raise ValueError(
            f"no run with a score on a task below {', '.join(map(str, folders))}: name "
            "folders of prompt tuning or model tuning"
        )
    return found


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Orders names as people do: length_20 comes before length_100."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _root(folders: Sequence[Path], found: Sequence[Path]) -> Path:
    """Returns the folder that runs are named relative to."""
    root = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    return root.parent if root in found else root


def _settings(folder: Path) -> dict[str, str]:
    """Reads what a run's gin text sets; plain Python leaves none."""
    path = folder / CONFIG
    if not path.exists():
        return {}
    return resolve_bindings(read_utf8(path))


def _facts(folder: Path, run: Finished, method: str, output: Path) -> RunFacts:
    page = folder / PAGE
    address = os.path.relpath(page, output.resolve().parent)
    has_page = page.exists() and page != output.resolve()
    return RunFacts(
        folder=str(run.folder),
        method=method,
        result=run.result,
        curves=curves_of(folder),
        page=urllib.parse.quote(Path(address).as_posix()) if has_page else None,
    )
