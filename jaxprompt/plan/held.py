"""Bytes that a program holds at once, counted in its jaxpr."""

import collections
import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal, Var, jaxprs_in_params
from jax.interpreters import partial_eval

_VIEWS = frozenset("expand_dims reshape squeeze transpose".split())
"""Operations that change no value: a product reads through them."""

_FUSED = _VIEWS | frozenset(
    "abs add add_any and broadcast_in_dim ceil clamp convert_element_type copy cos "
    "div eq erf erf_inv exp exp2 expm1 floor ge gt integer_pow iota is_finite le "
    "log log1p logistic lt max min mul name ne neg nextafter not or pad pow rem "
    "rev round rsqrt select_n shift_left shift_right_logical sign sin slice sqrt "
    "square stop_gradient sub tanh xor".split()
)
"""Operations that a compiler does on the way to what reads them, element by element."""

_REDUCED = frozenset(
    "argmax argmin reduce_and reduce_max reduce_min reduce_or reduce_sum".split()
)
"""Operations that read what is made on the way, and whose results are small."""

_ON_THE_WAY = _FUSED | _REDUCED


def count_held(function: Callable[..., Any], *args: Any) -> float:
    """Counts the most bytes that a function holds at once besides its arguments.

    Operations run in the order of the jaxpr, and an array is held until what reads it
    last has run. What is computed element by element and read by such operations alone
    is never written. Compilers do better and worse: they run operations in another
    order, share memory, and copy.

    Args:
        function: What JAX can trace.
        *args: Arrays or `jax.ShapeDtypeStruct`s.

    Returns:
        Bytes, results among them, but for those that are written over arguments which
        the function's `jax.jit` donates.
    """
    closed = jax.make_jaxpr(function)(*args)
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return _most(needed)


def _most(jaxpr: Jaxpr, over: AbstractSet[Var] = frozenset()) -> float:
    """Returns the most bytes that a jaxpr holds besides what it is given.

    Args:
        jaxpr: The jaxpr.
        over: Results that are written over donated arguments, and take nothing.
    """
    written = _written(jaxpr)
    until = _last_reads(jaxpr, written)
    over = over | {x for eqn in jaxpr.eqns for x in _written_over(eqn, eqn.outvars)}
    frees: dict[int, list[Var]] = {}
    for var, place in until.items():
        frees.setdefault(place, []).append(var)
    held = most = 0.0
    for place, eqn in enumerate(jaxpr.eqns):
        made = _bytes(var for var in eqn.outvars if var in written - over)
        held += made
        most = max(most, held + _inside(eqn))
        held -= _bytes(var for var in frees.get(place, ()) if var not in over)
    return max(most, held)


def _inside(eqn: Any) -> float:
    """Returns the bytes that an operation needs beside its results."""
    most = 0.0
    for inner in jaxprs_in_params(eqn.params):
        given = 0.0
        if eqn.primitive.name == "scan":
            # Of each round: what it takes out of stacked arrays.
            whole = eqn.params["num_consts"] + eqn.params["num_carry"]
            given = _bytes(inner.invars[whole:])
        over = _written_over(eqn, inner.outvars)
        # The results of a round stand in those of the loop.
        own = _bytes(var for var in _variables(inner.outvars) if var not in over)
        most = max(most, given + _most(inner, over) - own)
    return max(most, 0.0)


def _written_over(eqn: Any, results: Sequence[Any]) -> set[Var]:
    """Returns the results of an operation that take the place of donated arguments.

    Args:
        eqn: A call of a function of `jax.jit`, or any other operation.
        results: Its own results, or those of the jaxpr within it.
    """
    donated = eqn.params.get("donated_invars", ())
    given = zip(eqn.invars, donated, strict=False)
    # JAX takes an argument for the first result of the same shape and dtype.
    room = collections.Counter(var.aval for var, is_donated in given if is_donated)
    over: set[Var] = set()
    for var in _variables(results):
        if room[var.aval]:
            room[var.aval] -= 1
            over.add(var)
    return over


def _written(jaxpr: Jaxpr) -> set[Var]:
    """Returns the variables whose arrays are written to memory."""
    results = set(_variables(jaxpr.outvars))
    written: set[Var] = set()
    # Of each variable, what reads it, through views too.
    readers: dict[Var, set[str]] = {}
    for eqn in reversed(jaxpr.eqns):
        name = eqn.primitive.name
        reading: set[str] = set()
        for var in eqn.outvars:
            found = readers.get(var, set())
            through = _ON_THE_WAY | {"dot_general"} if name in _VIEWS else _ON_THE_WAY
            if var in results or name not in _FUSED or not found <= through:
                written.add(var)
            elif name in _VIEWS:
                reading |= found
        for var in _variables(eqn.invars):
            readers.setdefault(var, set()).update(reading or {name})
    return written


def _last_reads(jaxpr: Jaxpr, written: set[Var]) -> dict[Var, int]:
    """Returns the place of the operation that reads each written variable last.

    What is made on the way reads its factors when it is read itself. Results of the
    jaxpr are held to its end.
    """
    until = dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    for place in reversed(range(len(jaxpr.eqns))):
        eqn = jaxpr.eqns[place]
        for var in eqn.outvars:
            until.setdefault(var, place)  # Nothing reads it.
        late = [until[var] for var in eqn.outvars if var not in written]
        for var in _variables(eqn.invars):
            until[var] = max([until.get(var, place), *late])
    return {var: until[var] for var in written}


def _variables(atoms: Sequence[Any]) -> list[Var]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def _bytes(variables: Iterable[Any]) -> float:
    return float(
        sum(
            math.prod(var.aval.shape) * var.aval.dtype.itemsize
            for var in variables
            if hasattr(var.aval, "shape")
        )
    )
