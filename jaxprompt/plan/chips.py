"""TPU chips and slices of them: published facts, and devices to compile for."""

import dataclasses
import importlib.util
import math
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jax.experimental import topologies

from jaxprompt.models.attention_form import Device
from jaxprompt.plan.cards import CARDS

GIB = 2**30
"""Bytes of a GiB."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """What is published of one chip.

    Attributes:
        flops: Peak, in bfloat16 operations a second.
        memory: HBM that a program can have, in bytes: what is sold, less what the
            runtime keeps.
        bandwidth: Of the HBM, in bytes a second.
        links: Of all links to other chips, both directions, in bytes a second.
        axes: Axes of its torus: 2 or 3.
        host: Chips of one host along each axis.
    """

    flops: float
    memory: float
    bandwidth: float
    links: float
    axes: int
    host: tuple[int, ...]


CHIPS: Mapping[str, Chip] = MappingProxyType(
    {
        "v5e": Chip(197e12, 15.75 * GIB, 819e9, 400e9, 2, (2, 2)),
        "v5p": Chip(459e12, 95.74 * GIB, 2765e9, 1200e9, 3, (2, 2, 1)),
        "v6e": Chip(918e12, 31.25 * GIB, 1638e9, 800e9, 2, (2, 2)),
    }
)
"""Name -> chip.

Source: docs.cloud.google.com/tpu/docs/{v5e,v5p,v6e}, "System architecture": peak bf16
compute, HBM bandwidth, bidirectional ICI bandwidth of a chip (v5p's from the 4800 Gbps
each way). They sell 16, 95 and 32 GB of HBM; the memory is what programs get of it, as
the runtime's out-of-memory messages say ("of 15.75G hbm"). Only v5e's was seen here.
"""


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips of one kind, wired in a grid.

    Attributes:
        name: As "v5e:2x2".
        chip: One of them.
        shape: Chips along each axis of the torus.
    """

    name: str
    chip: Chip
    shape: tuple[int, ...]

    @property
    def chips(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    @property
    def device(self) -> Device:
        """What kind of device one of them is."""
        return Device("tpu")

    @property
    def memory(self) -> float:
        """Bytes of one chip that programs get."""
        return self.chip.memory

    def devices(self) -> list[Any]:
        """Describes the slice's devices to the compiler; none of them is there.

        Raises:
            ValueError: If libtpu is not installed, or knows no such slice.
        """
        _be_quiet()
        # A slice smaller than a host is all on one.
        host = tuple(map(min, self.shape, self.chip.host))
        try:
            description = topologies.get_topology_desc(
                self.name,
                platform="tpu",
                chips_per_host_bounds=(*host, 1)[:3],
            )
        except (RuntimeError, NotImplementedError) as err:
            reason = str(err).splitlines()[0]
            raise ValueError(f"no TPU slice {self.name}: {reason}") from err
        return list(description.devices)


def parse_slice(name: str) -> Slice:
    """Reads the name of a slice.

    Args:
        name: Chip and grid, as "v5e:2x2", or "v5p:2x2x1" where the torus has three
            axes. A last axis of 1 may be left out.

    Raises:
        ValueError: If there is no such chip, or such a grid of it.
    """
    kind, _, grid = name.partition(":")
    if kind not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", grid):
        raise ValueError(
            f"no TPU slice {name!r}: use a chip of {', '.join(CHIPS)} and a grid, as "
            "v5e:1x1, v5e:2x2, v5e:4x4, v6e:2x4, v5p:2x2x1; or GPUs, as "
            f"{', '.join(CARDS)} or h100:8"
        )
    chip = CHIPS[kind]
    shape = tuple(map(int, grid.split("x")))
    shape += (1,) * (chip.axes - len(shape))
    if len(shape) > chip.axes:
        raise ValueError(f"{name}: the torus of {kind} has two axes, as {kind}:2x2")
    if 0 in shape or any(
        size > host and size % host for size, host in zip(shape, chip.host, strict=True)
    ):
        hosts = "x".join(map(str, chip.host))
        raise ValueError(
            f"{name}: a slice larger than one host is made of hosts of {hosts} chips; "
            f"use multiples of it, as {kind}:{'4x4' if chip.axes == 2 else '2x2x2'}"
        )
    return Slice(f"{kind}:{'x'.join(map(str, shape))}", chip, shape)


def check_compiler() -> None:
    """Raises ValueError where libtpu, which holds the compiler, is not installed."""
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            "no libtpu, which compiles for TPUs: pip install 'jaxprompt[plan]'"
        )


def _be_quiet() -> None:
    """Tells libtpu, before it is loaded, that no TPU is to be looked for."""
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("TPU_ACCELERATOR_TYPE", "v5litepod-1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        # Compiling takes no chip, so several processes may do it at once.
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1"),
    ):
        os.environ.setdefault(name, value)
