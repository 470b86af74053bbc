"""The work of a step, counted in its jaxpr: every matrix product, loops included."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, Literal, jaxprs_in_params
from jax.interpreters import partial_eval

_SAME_VALUES = ("convert_element_type", "transpose", "reshape")


class Work(NamedTuple):
    """What a program does.

    Attributes:
        flops: Floating-point operations of its matrix products.
        traffic: Bytes that these products read and write, if each reads its factors
            from memory, as they are stored, and writes its result there.
    """

    flops: float
    traffic: float

    def times(self, count: float) -> "Work":
        """Returns the work of doing it this often."""
        return Work(self.flops * count, self.traffic * count)

    def plus(self, other: "Work") -> "Work":
        """Returns the work of both."""
        return Work(self.flops + other.flops, self.traffic + other.traffic)


def count_work(function: Callable[..., Any], *args: Any, rounds: int = 1) -> Work:
    """Counts the matrix products of a function, without compiling or running it.

    XLA's own count takes the body of a loop once. This one multiplies it by the rounds
    of the loop, and so needs no unrolled program of a large model.

    Args:
        function: What JAX can trace.
        *args: Arrays or `jax.ShapeDtypeStruct`s.
        rounds: Rounds of a loop that ends by a condition, as decoding does.

    Returns:
        The work of one call; of branches, that of the one with most. A Pallas kernel
        keeps its products on the chip.
    """
    closed = jax.make_jaxpr(function)(*args)
    # What nobody reads is not computed: XLA removes it too.
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return _count(needed, rounds)


def _count(jaxpr: Jaxpr, rounds: int) -> Work:
    total = Work(0.0, 0.0)
    stored: dict[Any, int] = {}
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            total = total.plus(_product(eqn, stored))
        elif eqn.primitive.name == "pallas_call":
            total = total.plus(_kernel(eqn, rounds))
            continue
        elif eqn.primitive.name in _SAME_VALUES:
            stored[eqn.outvars[0]] = _itemsize(eqn.invars[0], stored)
        times = {"scan": eqn.params.get("length"), "while": rounds}
        works = [_count(inner, rounds) for inner in jaxprs_in_params(eqn.params)]
        if eqn.primitive.name == "cond":  # One of its branches runs.
            works = [Work(*map(max, zip(*works, strict=True)))]
        for work in works:
            total = total.plus(work.times(times.get(eqn.primitive.name, 1)))
    return total


def _kernel(eqn: Any, rounds: int) -> Work:
    """Counts what a kernel does for each block, and its arrays once.

    What it passes over, as blocks that a mask hides, counts too.
    """
    blocks = math.prod(eqn.params["grid_mapping"].grid)
    flops = blocks * _count(eqn.params["jaxpr"], rounds).flops
    arrays = [*eqn.invars, *eqn.outvars]
    return Work(flops, sum(math.prod(x.aval.shape) * _itemsize(x, {}) for x in arrays))


def _product(eqn: Any, stored: dict[Any, int]) -> Work:
    (summed, _), _ = eqn.params["dimension_numbers"]
    left, right = eqn.invars
    (out,) = eqn.outvars
    depth = math.prod(left.aval.shape[axis] for axis in summed)
    traffic = sum(
        math.prod(var.aval.shape) * _itemsize(var, stored) for var in (left, right, out)
    )
    return Work(2.0 * math.prod(out.aval.shape) * depth, traffic)


def _itemsize(var: Any, stored: dict[Any, int]) -> int:
    """Bytes of an element as it lies in memory: a cast is done on the way."""
    own = var.aval.dtype.itemsize
    return own if isinstance(var, Literal) else min(own, stored.get(var, own))
