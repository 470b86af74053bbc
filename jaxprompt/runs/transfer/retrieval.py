"""Finding the prompts of a bank that are nearest to one, and mixing prompts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.prompts.file import write_prompt
from jaxprompt.prompts.provenance import Provenance, installed_versions
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.transfer.bank_index import bank_files
from jaxprompt.runs.transfer.similarity import rows_mask
from jaxprompt.screen.quoting import quoted
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.transfer.categories import category_of
from jaxprompt.transfer.named import NamedPrompts, check_alike, read_named
from jaxprompt.transfer.retrieval import mix, rank, start_weights


def nearest(
    prompt_file: Path,
    bank: Sequence[Path],
    *,
    by: str = "C_meanpool",
    rows: str = ":",
    top: int = 3,
    start: str = "best",
    write: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Ranks the prompts of a bank by their similarity to one prompt.

    Args:
        prompt_file: The prompt, such as one that was trained for a few steps on a new
            task.
        bank: Prompt files, archives of prompts, and indices; the prompt's own file is
            left out of it.
        by: One of `transfer.similarity.SIMILARITIES`.
        rows: Which soft tokens count, as "1:".
        top: How many of the nearest a start is made of; 1 of the start "best".
        start: One of `transfer.retrieval.STARTS`.
        write: Where to write a prompt to start training from.
        output: Where to write the ranks as JSON.
        overwrite: Whether these files may exist.

    Returns:
        The bank's prompts, the nearest first: "name", "file", "task", "category" and
        "similarity".

    Raises:
        ValueError: If anything does not fit.
        FileNotFoundError: If a file is missing.
    """
    for path in (write, output):
        check_output(path, overwrite)
    asked = read_named([prompt_file])
    if len(asked.names) != 1:
        raise ValueError(
            f"{prompt_file} holds {len(asked.names)} prompts: name one that ranks the "
            "others"
        )
    others = [file for file in bank_files(bank) if not _is_same(file, prompt_file)]
    if not others:
        raise ValueError(f"no prompt in the bank besides {prompt_file} itself")
    found = read_named(others)
    check_alike(asked, found)
    if top < 1:
        raise ValueError(f"top {top}: use 1 or more of the nearest")
    mask = rows_mask(rows, asked.rows.shape[1])
    ranked = rank(asked.rows[0], found.rows, by, mask)
    result = [
        {
            "name": found.names[near.place],
            "file": str(found.files[near.place]),
            "task": found.tasks[near.place],
            "category": category_of(found.tasks[near.place]),
            "similarity": near.similarity,
        }
        for near in ranked
    ]
    say(f"{len(ranked)} prompts by {by} to {asked.names[0]}")
    lines = [
        [one["name"], one["category"], f"{one['similarity']:.6f}", one["file"]]
        for one in result
    ]
    say_lines(table(["prompt", "type", by, "file"], lines))
    if write is not None:
        used = ranked[:top]
        weights = start_weights(used, start)
        used = used[: len(weights)]
        _write_mix(write, found.take([near.place for near in used]), weights)
    if output is not None:
        write_json(output, {"by": by, "rows": rows, "nearest": result})
        say(f"wrote {output}")
    return result


def mix_prompts(
    files: Sequence[Path],
    output: Path,
    *,
    weights: Sequence[float] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a prompt that is the weighted sum of others.

    Args:
        files: Prompt files, archives of prompts, and indices; one prompt file at least,
            which says of which model they are.
        output: The prompt file to write.
        weights: Of each prompt, whatever their sum; None for their average.
        overwrite: Whether `output` may exist.

    Raises:
        ValueError: If prompts do not go together, or the weights are not theirs.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    prompts = read_named(bank_files(files))
    count = len(prompts.names)
    if weights is None:
        weights = [1 / count] * count
    _write_mix(output, prompts, weights)


def _write_mix(path: Path, prompts: NamedPrompts, weights: Sequence[float]) -> None:
    mixed = mix(prompts.prompts, weights)
    write_prompt(path, mixed, _provenance(prompts, weights))
    parts = ", ".join(
        f"{weight:.4g} of {name}"
        for weight, name in zip(weights, prompts.names, strict=True)
    )
    say(f"wrote {path}: {parts}")
    if any(said.has_head for said in prompts.provenances if said):
        say(
            "their heads are not in it: training starts from it, and it answers nothing"
        )


def _provenance(prompts: NamedPrompts, weights: Sequence[float]) -> Provenance:
    """Says where a mix comes from.

    What all of them share stays, so that a mix of prompts of one task answers it. A
    score, a step and a seed are of no mix, and a head is not either.
    """
    known = [one for one in prompts.provenances if one is not None]
    if not known:
        raise ValueError(
            f"{', '.join(map(quoted, prompts.names))} do not say of which model they "
            "are: take them in by `jaxprompt import`, or name a prompt file among them"
        )
    first = known[0]
    names = ("task", "metric", "config", "answering", "head")
    shared = {
        name: getattr(first, name)
        for name in names
        if all(getattr(one, name) == getattr(first, name) for one in known)
    }
    # A configuration answers for its tasks, so it stays with the task alone, and it
    # answers by the heads, which a mix leaves behind.
    if "task" not in shared or any(one.has_head for one in known):
        shared = {}
    parts = " + ".join(
        f"{weight:.6g} * {name}"
        for weight, name in zip(weights, prompts.names, strict=True)
    )
    return dataclasses.replace(
        first,
        **{
            **dict.fromkeys(("task", "metric", "config"), ""),
            "answering": {},
            "head": "words",
            **shared,
        },
        score=None,
        step=0,
        seed=None,
        init="mix",
        source=f"mix: {parts}",
        versions=installed_versions(),
    )


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
