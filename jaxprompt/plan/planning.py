"""`plan`: one estimate, or one for each mesh and rematerialisation, as a table."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

from jaxprompt.config import Run
from jaxprompt.models.config import Config
from jaxprompt.plan.card_estimate import estimate_cards
from jaxprompt.plan.cards import Cards, parse_cards
from jaxprompt.plan.chips import GIB, Slice, check_compiler, parse_slice
from jaxprompt.plan.estimate import (
    Estimate,
    best_of,
    estimate,
    in_gib,
    planned_attention,
)
from jaxprompt.plan.program import STEPS, lengths, num_rows, sizes_of
from jaxprompt.report.text.table import table
from jaxprompt.screen.progress_bar import progress_bar
from jaxprompt.sharding import abstract_mesh, make_mesh, mesh_shape

_REMATS = ("none", "dots", "full")


def plan(run: Run, topology: str, *, step: str = "train", search: bool = False) -> str:
    """Plans a run's step for a TPU slice, or for GPUs, that are not there.

    Nothing of the model is read or allocated, and nothing runs. Of a TPU libtpu's
    compiler says what each chip would hold; of a GPU it is estimated from shapes. Time
    is the least that the chip's published numbers allow.

    Args:
        run: The configuration. Its task may be missing, and its files.
        topology: The slice, as "v5e:2x2"; or cards, as "h100" or "h100:8".
        step: "train" for an update, "predict" for the answers to a batch.
        search: Try every mesh of the slice, and for training each rematerialisation,
            rather than those of the run.

    Returns:
        A heading, a table in Markdown and what is best, in lines.

    Raises:
        ValueError: If something is unknown or does not fit together, or libtpu, which
            compiles for a TPU, is not installed.
        FileNotFoundError: If the model's folder lacks a file.
    """
    if step not in STEPS:
        raise ValueError(f"unknown step {step!r}: use one of {list(STEPS)}")
    where = parse_cards(topology) or parse_slice(topology)
    config = sizes_of(run)
    # What is not able to is told once, not of each mesh.
    attention = planned_attention(run, config, where.device)
    weigh = _of_cards(where) if isinstance(where, Cards) else _of_slice(where)
    found: list[Estimate] = []
    refused: list[str] = []
    for one, grid in _progress(list(_choices(run, where, step, search))):
        data, model = grid
        try:
            found.append(weigh(one, config, step, grid))
        except ValueError as err:
            if not search:
                raise
            refused.append(f"data={data} model={model}: {err}")
    return "\n".join(_lines(run, config, where, step, attention, found, refused))


Grid: TypeAlias = tuple[int, int]
"""Chips along the data axis, -1 for all that the model axis leaves, and along that."""


def _of_slice(where: Slice) -> Callable[[Run, Config, str, Grid], Estimate]:
    """Makes what compiles a step for a slice."""
    check_compiler()
    devices = where.devices()

    def weigh(run: Run, config: Config, step: str, grid: Grid) -> Estimate:
        mesh = make_mesh(*grid, devices=devices)
        return estimate(run, config, step, mesh, where.chip)

    return weigh


def _of_cards(where: Cards) -> Callable[[Run, Config, str, Grid], Estimate]:
    """Makes what counts a step for cards."""

    def weigh(run: Run, config: Config, step: str, grid: Grid) -> Estimate:
        mesh = abstract_mesh(*mesh_shape(*grid, where.chips))
        return estimate_cards(run, config, step, mesh, where)

    return weigh


def _choices(
    run: Run, where: Slice | Cards, step: str, search: bool
) -> Iterator[tuple[Run, Grid]]:
    if not search:
        yield run, (run.model.mesh_data, run.model.mesh_model)
        return
    # Nothing is kept for a backward pass where there is none.
    for remat in _REMATS if step == "train" else (run.model.remat,):
        settings = dataclasses.replace(run.model, remat=remat)
        for model in range(1, where.chips + 1):
            if where.chips % model == 0:
                grid = (where.chips // model, model)
                yield dataclasses.replace(run, model=settings), grid


def _progress(
    choices: list[tuple[Run, Grid]],
) -> Iterator[tuple[Run, Grid]]:
    show = len(choices) > 1
    with progress_bar("plan", each=choices, unit="program", show=show) as bar:
        for run, (data, model) in bar:
            bar.set_description(f"data={data} model={model} remat={run.model.remat}")
            yield run, (data, model)


def _lines(
    run: Run,
    config: Config,
    where: Slice | Cards,
    step: str,
    attention: str,
    found: list[Estimate],
    refused: list[str],
) -> Iterator[str]:
    source, target = lengths(run, config, step)
    weights = run.model.dtype
    if run.model.quantise != "none":
        weights = f"{run.model.quantise}, computing in {weights}"
    yield (
        f"{run.model.name or 'a new model'} ({_layers(config)} layers, width "
        f"{config.width}) in {weights}, {attention} attention"
    )
    parts = run.optimizer.accumulate if step == "train" else 1
    yield (
        f"{step}: {num_rows(run, step)} rows of {source} + {target} tokens"
        f"{f' in {parts} parts' if parts > 1 else ''}"
    )
    yield (
        f"{where.name}: {where.chips} chip{'s' if where.chips > 1 else ''} with "
        f"{where.memory / GIB:.2f} GiB each, for programs"
    )
    yield ""
    header = [
        "data",
        "model",
        "remat",
        "fits",
        "weights, GiB",
        "temporaries, GiB",
        "peak, GiB",
        "TFLOP",
        "ms",
        "bound",
    ]
    yield table(header, [_row(one) for one in found])
    yield from (f"left out {line}" for line in refused)
    best = best_of(found)
    if not found:
        yield (
            f"no mesh of {where.chips} chips divides the rows and the model: take "
            "another number of chips"
        )
    elif best is None:
        yield f"nothing fits: take {', or '.join(_ways_to_fit(run, step, found))}"
    elif len(found) > 1:
        yield (
            f"best: --gin.MESH_DATA={best.data} --gin.MESH_MODEL={best.model} "
            f"--gin.REMAT={best.remat}"
        )


def _ways_to_fit(run: Run, step: str, found: list[Estimate]) -> Iterator[str]:
    """Yields what may help and is not refused: weights that train are never int8."""
    if step == "train" and all(one.remat != "full" for one in found):
        yield "--gin.REMAT=full"
    yield "a larger slice or more cards"
    yield "more accumulation" if step == "train" else "smaller batches"
    if run.model.quantise == "none" and not run.tunes_model:
        yield "int8 weights"


def _layers(config: Config) -> str:
    """Returns the layers of each stack of layers: of a T5 "8 + 8"."""
    stacks = [site.layers for name, site in config.sites.items() if name != "cross"]
    return " + ".join(map(str, stacks))


def _row(one: Estimate) -> list[object]:
    memory = one.memory
    return [
        one.data,
        one.model,
        one.remat,
        "yes" if one.fits else "no",
        in_gib(memory.weights),
        in_gib(memory.temporaries),
        in_gib(memory.peak),
        one.flops / 1e12,
        one.least * 1e3,
        one.bound,
    ]
