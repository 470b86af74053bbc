"""Comparing prompts: every similarity, and how well each predicts transfer."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxprompt.config import Run
from jaxprompt.files.json_file import read_json_object
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.transfer.neurons import neurons_of
from jaxprompt.screen.quoting import quoted
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.transfer.categories import OTHER, OWN, SAME, pair_types
from jaxprompt.transfer.correlation import VARIANTS, spearman
from jaxprompt.transfer.matrix import read_matrix
from jaxprompt.transfer.named import NamedPrompts, read_named
from jaxprompt.transfer.neurons import overlap
from jaxprompt.transfer.similarity import Pairs, similarities


def compare(
    files: Sequence[Path],
    *,
    rows: str = ":",
    scores: Path | None = None,
    neurons: bool = False,
    run: Run | None = None,
    another_backbone: bool = False,
    expected: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Prints how alike prompts are, and how well that predicts their transfer.

    Args:
        files: Prompt files, or archives of prompts.
        rows: Which soft tokens count, as "1:" for all but the first.
        scores: A matrix of transfer, as `transfer.matrix.read_matrix` reads it; None
            leaves the correlations out.
        neurons: Whether the overlap of activated neurons is measured too, which reads
            the prompts' model.
        run: The run of one of them, which says where that model is.
        another_backbone: Allows a model that they were not trained on.
        expected: A file as `output`, or a part of one: what was found before, or
            published. It is printed beside what is found.
        output: Where to write all of it as JSON.
        overwrite: Whether `output` may exist.

    Returns:
        "pairs": of each two prompts the similarities; "means": similarity -> mean over
        pairs of the same type and of other types; with scores, "spearman": similarity
        -> variant -> value and interval, and "transfer": the mean relative score on
        other tasks of the same type and of others.

    Raises:
        ValueError: If prompts cannot be compared, or a file is not what it should be.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    prompts = read_named(files)
    if len(prompts.names) < 2:
        raise ValueError(
            f"one prompt, {quoted(*prompts.names)}, to compare: name two or more"
        )
    mask = rows_mask(rows, prompts.rows.shape[1])
    matrix = None if scores is None else read_matrix(scores).among(prompts.names)
    known = None
    if expected is not None:
        fix = "give the output of such a comparison"
        known = read_json_object(expected, fix, undefined=True)
    found = similarities(prompts.rows, mask)
    if neurons:
        read = neurons_of(prompts, run=run, another_backbone=another_backbone)
        found |= overlap(read)
    result: dict[str, Any] = {
        "prompts": list(prompts.names),
        "rows": rows,
        "pairs": _pairs(prompts, found),
        "means": _means(prompts.tasks, found),
        "spearman": {},
    }
    _print_pairs(prompts.names, result, int(mask.sum()))
    if matrix is not None:
        relative = matrix.relative()
        result["transfer"] = _transfer_means(prompts.tasks, relative)
        result["spearman"] = {
            name: {
                variant: dataclasses.asdict(spearman(values, relative, variant))
                for variant in VARIANTS
            }
            for name, values in found.items()
        }
        _print_correlations(result["spearman"])
        told = ", ".join(
            f"{group} {'-' if mean is None else f'{100 * mean:.1f}'}"
            for group, mean in result["transfer"].items()
        )
        say(f"relative transfer x 100 to other tasks: {told}")
    if known is not None:
        _print_beside(result, known)
    if output is not None:
        write_json(output, result)
        say(f"wrote {output}")
    return result


def rows_mask(text: str, length: int) -> Bool[np.ndarray, " P"]:
    """Reads which rows count: a slice in Python's notation, as "1:" or ":50".

    Raises:
        ValueError: If it is no slice, or leaves no row.
    """
    ends = re.fullmatch(r"\s*(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*", text)
    if ends is None:
        raise ValueError(f"rows {quoted(text)} are no slice: say 1: or :50 or 10:20")
    mask = np.zeros(length, bool)
    mask[slice(*(int(end) if end else None for end in ends.groups()))] = True
    if not mask.any():
        raise ValueError(
            f"rows {text} of prompts of {length} soft tokens: that leaves none"
        )
    return mask


def _pairs(prompts: NamedPrompts, found: Mapping[str, Pairs]) -> list[dict[str, Any]]:
    names, groups = prompts.names, _groups(prompts.tasks)
    return [
        {
            "one": names[i],
            "other": names[j],
            "type": next(group for group, here in groups.items() if here[i, j]),
            **{name: float(values[i, j]) for name, values in found.items()},
        }
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]


def _groups(tasks: Sequence[str]) -> dict[str, Bool[np.ndarray, "prompts prompts"]]:
    """Says of each two prompts, once, what they are to each other.

    Prompts of one task are a group only where there are such.
    """
    upper = np.triu(np.ones((len(tasks),) * 2, bool), 1)
    groups = {group: here & upper for group, here in pair_types(tasks, tasks).items()}
    own = upper & ~groups[SAME] & ~groups[OTHER]
    return groups | ({OWN: own} if own.any() else {})


def _means(tasks: Sequence[str], found: Mapping[str, Pairs]) -> dict[str, Any]:
    """Takes the mean over the pairs of each group; None where there is none."""
    groups = _groups(tasks)
    return {
        name: {
            group: float(values[here].mean()) if here.any() else None
            for group, here in groups.items()
        }
        for name, values in found.items()
    }


def _transfer_means(tasks: Sequence[str], relative: Pairs) -> dict[str, float | None]:
    """Takes the mean relative score on other tasks of the same type and of others."""
    return {
        group: float(np.nanmean(relative[here]))
        if np.isfinite(relative[here]).any()
        else None
        for group, here in pair_types(tasks, tasks).items()
    }


def _print_pairs(names: Sequence[str], result: Mapping[str, Any], rows: int) -> None:
    measures = list(result["means"])
    say(f"similarities of {len(names)} prompts, {rows} rows of each")
    header = ["prompt", "prompt", "type", *measures]
    lines = [
        [pair["one"], pair["other"], pair["type"], *(_six(pair[m]) for m in measures)]
        for pair in result["pairs"]
    ]
    for group in next(iter(result["means"].values())):
        means = [_six(result["means"][m][group]) for m in measures]
        lines.append(["mean", "", group, *means])
    say_lines(table(header, lines))


def _print_correlations(found: Mapping[str, Mapping[str, Any]]) -> None:
    say("")
    say("Spearman x 100 of similarity and relative transfer, with the 95 % interval")
    lines = []
    for name, variants in found.items():
        lines.append([name, *map(_tell_correlation, variants.values())])
    say_lines(table(["similarity", *VARIANTS], lines))
    if not any(one["targets"] for of in found.values() for one in of.values()):
        say(
            "there is nothing to correlate: no task has two or more known scores that "
            "differ. above_chance.csv of a matrix knows only those of tasks that their "
            "own prompts have learnt; matrix.csv knows all"
        )


def _tell_correlation(one: Mapping[str, Any]) -> str | None:
    """Says a rank correlation with its interval; None where no target has one."""
    if not one["targets"]:
        return None
    value, low, high = (f"{100 * one[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}] of {one['targets']} targets"


def _print_beside(result: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Prints each number that is expected beside what was found."""
    found, wanted = _numbers(result), _numbers(known)
    lines = []
    for (what, name), value in wanted.items():
        ours = found.get((what, name))
        apart = None if ours is None else abs(ours - value)
        lines.append([what, name, _six(ours), _six(value), _six(apart)])
    say("")
    say("beside what is expected")
    say_lines(table(["of", "what", "found", "expected", "difference"], lines))


def _numbers(result: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Lays out the numbers of a result under names: (of what, measure) -> number."""
    numbers: dict[tuple[str, str], float] = {}
    try:
        for pair in result.get("pairs", []):
            ends = " and ".join(sorted((pair["one"], pair["other"])))
            for name, value in pair.items():
                if name not in ("one", "other", "type"):
                    numbers[ends, name] = float(value)
        for name, groups in result.get("means", {}).items():
            for group, value in groups.items():
                if value is not None:
                    numbers[f"mean, {group}", name] = float(value)
        for name, variants in result.get("spearman", {}).items():
            for variant, one in variants.items():
                numbers[f"Spearman, {variant}", name] = float(one["value"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"what is expected is no output of a comparison: {error!r}"
        ) from error
    return numbers


def _six(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
