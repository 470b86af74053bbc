"""What one mesh and one choice of rematerialisation come to: memory and time."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxprompt.config import Run
from jaxprompt.models.attention_form import AttentionForm, Device, choose_form
from jaxprompt.models.config import Config
from jaxprompt.models.options import PASSES, precision_in_force
from jaxprompt.plan.chips import GIB, Chip
from jaxprompt.plan.exchange import count_exchange
from jaxprompt.plan.program import Program, make_program
from jaxprompt.plan.work import Work, count_work
from jaxprompt.sharding import DATA, MODEL

QUICKLY: Any = {"exec_time_optimization_effort": -1.0}
"""Has libtpu compile in a third of the time: the same arrays are held."""

# What all would take; or what the temporaries alone would, if already they overflow.
_OVERFLOW = re.compile(r"Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm")
_TEMPORARIES = re.compile(r"HLO temporaries \(([\d.]+)([KMGT]?)\) exceeds")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Memory(NamedTuple):
    """Bytes on one chip, as the compiler counts them.

    Attributes:
        weights: The frozen model, or the part of it that the chip holds.
        temporaries: What the step needs while it runs; None if the compiler gave up.
        peak: The most that is held at once; what would be needed if it does not fit,
            and None if the compiler does not say.
    """

    weights: float
    temporaries: float | None
    peak: float | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One way to run the step.

    Attributes:
        data: Chips that split the batch.
        model: Chips that split the weights.
        remat: What the backward pass computes again.
        memory: Bytes on each chip.
        fits: Whether a chip has them.
        flops: Operations of each chip.
        seconds: Least time of a step, by bound: "compute", "memory", and where a
            compiler says what is exchanged, "links".
    """

    data: int
    model: int
    remat: str
    memory: Memory
    fits: bool
    flops: float
    seconds: dict[str, float]

    @property
    def bound(self) -> str:
        """What takes the longest."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def least(self) -> float:
        """Seconds of a step if all else hides behind the bound."""
        return self.seconds[self.bound]


def planned_attention(run: Run, config: Config, device: Device) -> AttentionForm:
    """Returns the form that a run's attention would have on a device.

    Raises:
        ValueError: If the run asks for a form that is not able to; it says why.
    """
    asked, dtype = run.model.attention, run.model.dtype
    return choose_form(asked, config.attention_needs, dtype=dtype, device=device)


def estimate(
    run: Run, config: Config, step: str, mesh: jax.sharding.Mesh, chip: Chip
) -> Estimate:
    """Compiles a step for a mesh, and counts what it takes.

    Args:
        run: The configuration, with the rematerialisation to try.
        config: Sizes of its model.
        step: One of `program.STEPS`.
        mesh: Devices of a slice.
        chip: What one of them is.

    Returns:
        The numbers; time is that of a roofline: see docs/plan.md.

    Raises:
        ValueError: If the mesh does not divide the rows or the model.
    """
    attention = planned_attention(run, config, Device("tpu"))
    program = make_program(run, config, step, mesh, attention=attention)
    with jax.default_matmul_precision(
        precision_in_force(run.model.precision, run.model.dtype, "tpu")
    ):
        memory, text = _compile(program)
    data, model = mesh.shape[DATA], mesh.shape[MODEL]
    work = work_of_chip(run, config, step, data, model, attention)
    passes = PASSES[run.model.precision] if run.model.dtype == "float32" else 1
    return Estimate(
        data=data,
        model=model,
        remat=run.model.remat,
        memory=memory,
        fits=bool(text) and memory.peak is not None and memory.peak <= chip.memory,
        flops=work.flops,
        seconds={
            "compute": passes * work.flops / chip.flops,
            "memory": work.traffic / chip.bandwidth,
            "links": count_exchange(text) / chip.links,
        },
    )


def _compile(program: Program) -> tuple[Memory, str]:
    """Returns the memory of a chip, and the compiled text; no text if it overflows."""
    weights = bytes_of_chip(program.weights)
    lowered = program.function.lower(*program.arguments)
    try:
        with without_cache():
            compiled = lowered.compile(compiler_options=QUICKLY)
    except jax.errors.JaxRuntimeError as err:
        if "RESOURCE_EXHAUSTED" not in str(err):
            raise
        return _overflow(weights, str(err)), ""
    counted = compiled.memory_analysis()
    return (
        Memory(
            weights,
            counted.temp_size_in_bytes,
            counted.peak_memory_in_bytes,
        ),
        compiled.as_text(),
    )


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Keeps JAX's cache out: it cannot read back what is for an absent chip."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        # JAX asks once whether there is a cache, and keeps the answer.
        compilation_cache.reset_cache()
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


def _overflow(weights: float, message: str) -> Memory:
    """Reads from the compiler's error what a program that does not fit would need."""
    if found := _OVERFLOW.search(message):
        return Memory(weights, None, float(found[1]) * _UNITS[found[2]])
    if found := _TEMPORARIES.search(message):
        temporaries = float(found[1]) * _UNITS[found[2]]
        return Memory(weights, temporaries, weights + temporaries)
    return Memory(weights, None, None)


def work_of_chip(
    run: Run,
    config: Config,
    step: str,
    data: int,
    model: int,
    attention: AttentionForm = "chunked",
) -> Work:
    """Counts one chip's share: its rows of the batch, and its part of each product.

    Args:
        run: The configuration.
        config: Sizes of its model.
        step: One of `program.STEPS`.
        data: Chips that split the batch.
        model: Chips that split the weights.
        attention: The form of its attention.
    """
    program = make_program(
        run, config, step, None, attention=attention, split_rows=data
    )
    work = count_work(program.function, *program.arguments, rounds=program.rounds)
    return work.times(1 / model)


def bytes_of_chip(tree: Any) -> float:
    """Sums what one device holds of a tree of shapes in their places."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def best_of(estimates: list[Estimate]) -> Estimate | None:
    """Chooses what fits and is the fastest; of equals, what needs the least memory.

    Times within 1 % are equal: a roofline is no better than that.
    """
    fitting = [one for one in estimates if one.fits]
    if not fitting:
        return None
    least = min(one.least for one in fitting)
    fast = [one for one in fitting if one.least <= 1.01 * least]
    return min(fast, key=lambda one: one.memory.peak or 0.0)


def in_gib(size: float | None) -> float | None:
    """Bytes as GiB; None stays None."""
    return None if size is None else size / GIB
