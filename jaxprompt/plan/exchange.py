"""Bytes that chips exchange in a step, read from the compiled program's text."""

import math
import re
from collections.abc import Iterator

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(
    r"(?:body|calls|to_apply|called_computations|branch_computations)="
    r"\{?((?:%?[\w.\-]+(?:, )?)+)"
)
_ROUNDS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_OPERATION = re.compile(
    r" = (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\("
)
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+))\w*\[([\d,]*)\]")
# The groups themselves; how many of which size; or axes of a named mesh.
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_SIZED = re.compile(r"replica_groups=\[\d+,(\d+)\]")
_NAMED = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
_AXIS = re.compile(r"'(\w+)'=(\d+)")


def count_exchange(program: str) -> float:
    """Counts what a chip sends to and receives from others in one step.

    Rings are assumed: of S bytes among n chips an all-gather sends (n - 1) / n of S,
    and an all-reduce twice that.

    Args:
        program: The text of a compiled program, from `compiled.as_text()`.

    Returns:
        Bytes of one chip, sent and received. A loop counts as often as it runs; one
        that ends by a condition counts once.

    Source: Patarasuk and Yuan 2009, sec. 3 (doi:10.1016/j.jpdc.2008.09.002).
    """
    sent: dict[str, float] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    entry = name = ""
    for line in program.splitlines():
        if found := _COMPUTATION.match(line):
            name = found[1]
            sent[name], calls[name] = 0.0, []
            if line.startswith("ENTRY"):
                entry = name
        elif name:
            sent[name] += _sent(line)
            calls[name] += _calls(line)

    def total(name: str) -> float:
        inner = (rounds * total(called) for called, rounds in calls.get(name, ()))
        return sent.get(name, 0.0) + sum(inner)

    return 2 * total(entry)


def _calls(line: str) -> Iterator[tuple[str, int]]:
    rounds = _ROUNDS.search(line)
    for found in _CALLED.finditer(line):
        for name in found[1].split(", "):
            yield name.lstrip("%"), int(rounds[1]) if rounds else 1


def _sent(line: str) -> float:
    operation = _OPERATION.search(line)
    if operation is None:
        return 0.0
    shapes, kind = operation.groups()
    sizes = [
        math.prod(map(int, filter(None, dims.split(",")))) * int(bits or 8) / 8
        for _, bits, dims in _ARRAY.findall(shapes)
    ]
    # The start of an asynchronous one names its argument before its result.
    size = max(sizes, default=0.0) if "-start(" in line else sum(sizes)
    count = _group_size(line)
    share = (count - 1) / count
    if kind == "all-reduce":
        return 2 * share * size
    if kind == "reduce-scatter":  # The result is one of the parts.
        return (count - 1) * size
    return size if kind == "collective-permute" else share * size


def _group_size(line: str) -> int:
    """Returns how many devices exchange with one another."""
    if found := _LISTED.search(line):
        return len(found[1].split(","))
    if found := _SIZED.search(line):
        return int(found[1])
    if found := _NAMED.search(line):
        sizes = {name: int(size) for name, size in _AXIS.findall(found[1])}
        return math.prod(sizes[name.strip("' ")] for name in found[2].split(","))
    return 2  # A permutation has pairs instead.
