"""The index of a bank: which prompt files there are, and where each comes from."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.files.json_file import read_json_object
from jaxprompt.prompts.file import load_prompt
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.transfer.categories import category_of

SUFFIX = ".json"

_FIELDS = (
    "task",
    "metric",
    "score",
    "step",
    "seed",
    "init",
    "length",
    "width",
    "backbone",
    "revision",
    "fingerprint",
    "source",
)
"""What an index says of a prompt, as its own file does."""


def index_bank(
    files: Sequence[Path], output: Path, *, overwrite: bool = False
) -> list[dict[str, Any]]:
    """Writes the index of prompt files, of any tasks and any models.

    Args:
        files: Prompt files.
        output: The .json file to write. It names the others relative to its folder.
        overwrite: Whether it may exist.

    Returns:
        What it says of each: "file", "sha256", "category" and fields of `Provenance`.

    Raises:
        ValueError: If a file is no prompt, or the output's name does not end in .json.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    if output.suffix != SUFFIX:
        raise ValueError(f"output {output} is an index: name a file that ends in .json")
    folder, entries = output.resolve().parent, []
    for file in files:
        _, provenance = load_prompt(file)
        entries.append(
            {
                "file": Path(os.path.relpath(file.resolve(), folder)).as_posix(),
                "sha256": _digest(file),
                "category": category_of(provenance.task),
                **{name: getattr(provenance, name) for name in _FIELDS},
            }
        )
    write_json(output, {"prompts": entries})
    names = ("file", "task", "category", "score", "seed", "length", "backbone")
    say_lines(table(names, [[entry[name] for name in names] for entry in entries]))
    say(f"wrote {output}: {len(entries)} prompts")
    return entries


def bank_files(paths: Sequence[Path]) -> list[Path]:
    """Puts the prompt files in the place of the indices that name them.

    Args:
        paths: Prompt files, archives and indices.

    Raises:
        FileNotFoundError: If an index or a file in it is missing.
        ValueError: If an index is damaged, or a file is not the one that was indexed.
    """
    found: list[Path] = []
    for path in paths:
        if path.suffix != SUFFIX:
            found.append(path)
            continue
        fix = "write it by `jaxprompt transfer index`"
        entries = read_json_object(path, fix).get("prompts")
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            raise ValueError(f"{quoted_path(path)} is no index of prompts: {fix}")
        for entry in entries:
            file = path.parent / entry["file"]
            if not file.is_file():
                raise FileNotFoundError(
                    f"{quoted_path(path)} names {quoted_path(file)}, which is not "
                    f"there: {fix}"
                )
            if _digest(file) != entry["sha256"]:
                raise ValueError(
                    f"{quoted_path(file)} has changed since {quoted_path(path)} was "
                    f"written: {fix}"
                )
            found.append(file)
    return found


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), str) for name in ("file", "sha256")
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
