"""`plan`: one estimate, or one for each mesh and rematerialisation, as a table."""

import dataclasses
from collections.abc import Iterator

from jaxprompt.config import Run
from jaxprompt.models.config import Config
from jaxprompt.plan.chips import GIB, Slice, check_compiler, parse_slice
from jaxprompt.plan.estimate import Estimate, best_of, estimate, in_gib
from jaxprompt.plan.program import STEPS, lengths, num_rows, sizes_of
from jaxprompt.progress_bar import progress_bar
from jaxprompt.report.text.table import table
from jaxprompt.sharding import make_mesh

_REMATS = ("none", "dots", "full")


def plan(run: Run, topology: str, *, step: str = "train", search: bool = False) -> str:
    """Compiles a run's step for a TPU slice that is not there.

    Nothing of the model is read or allocated, and nothing runs: libtpu's compiler says
    what each chip would hold. Time is the least that the chip's published numbers
    allow.

    Args:
        run: The configuration. Its task may be missing, and its files.
        topology: The slice, as "v5e:2x2".
        step: "train" for an update, "predict" for the answers to a batch.
        search: Try every mesh of the slice, and for training each rematerialisation,
            rather than those of the run.

    Returns:
        A heading, a table in Markdown and what is best, in lines.

    Raises:
        ValueError: If something is unknown or does not fit together, or libtpu is not
            installed.
        FileNotFoundError: If the model's folder lacks a file.
    """
    if step not in STEPS:
        raise ValueError(f"unknown step {step!r}: use one of {list(STEPS)}")
    where, config = parse_slice(topology), sizes_of(run)
    check_compiler()
    devices = where.devices()
    found: list[Estimate] = []
    refused: list[str] = []
    for one, (data, model) in _progress(list(_choices(run, where, step, search))):
        try:
            mesh = make_mesh(data, model, devices=devices)
            found.append(estimate(one, config, step, mesh, where.chip))
        except ValueError as err:
            if not search:
                raise
            refused.append(f"data={data} model={model}: {err}")
    return "\n".join(_lines(run, config, where, step, found, refused))


def _choices(
    run: Run, where: Slice, step: str, search: bool
) -> Iterator[tuple[Run, tuple[int, int]]]:
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
    choices: list[tuple[Run, tuple[int, int]]],
) -> Iterator[tuple[Run, tuple[int, int]]]:
    show = len(choices) > 1
    with progress_bar("plan", each=choices, unit="program", show=show) as bar:
        for run, (data, model) in bar:
            bar.set_description(f"data={data} model={model} remat={run.model.remat}")
            yield run, (data, model)


def _lines(
    run: Run,
    config: Config,
    where: Slice,
    step: str,
    found: list[Estimate],
    refused: list[str],
) -> Iterator[str]:
    source, target = lengths(run, config)
    weights = run.model.dtype
    if run.model.quantise != "none":
        weights = f"{run.model.quantise}, computing in {weights}"
    yield (
        f"{run.model.name or 'a new model'} ({_layers(config)} layers, width "
        f"{config.width}) in {weights}"
    )
    parts = run.optimizer.accumulate if step == "train" else 1
    yield (
        f"{step}: {num_rows(run, step)} rows of {source} + {target} tokens"
        f"{f' in {parts} parts' if parts > 1 else ''}"
    )
    yield (
        f"{where.name}: {where.chips} chip{'s' if where.chips > 1 else ''} with "
        f"{where.chip.memory / GIB:.2f} GiB each, for programs"
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
    if best is None:
        yield "nothing fits: take a larger slice, more accumulation, or int8 weights"
    elif len(found) > 1:
        yield (
            f"best: --gin.MESH_DATA={best.data} --gin.MESH_MODEL={best.model} "
            f"--gin.REMAT={best.remat}"
        )


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
