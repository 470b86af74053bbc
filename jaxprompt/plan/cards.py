"""GPUs by name: what is published of a card, and how much of it a program gets."""

import dataclasses
import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from jaxprompt.models.attention_form import Device
from jaxprompt.models.options import Precision

GB = 1e9
"""Bytes of a GB, as memory is sold; a card has a few percent more than it says."""

FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
"""Environment variables for the share of a card's memory that JAX takes; the second is
the older name."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What is published of one card.

    Attributes:
        flops: Peak, in dense bfloat16 operations a second.
        float32_flops: Peak in float32, which no Tensor Core has.
        sold: Its memory, in bytes.
        bandwidth: Of the memory, in bytes a second.
        capability: CUDA's compute capability.
    """

    flops: float
    float32_flops: float
    sold: float
    bandwidth: float
    capability: tuple[int, int]

    def rate(self, dtype: str, precision: Precision) -> float:
        """Returns the peak at which a model of this dtype multiplies.

        Tensor Cores take TensorFloat-32, which JAX also takes for "bfloat16" products
        of float32 matrices, at half of their rate for bfloat16.
        """
        if dtype != "float32":
            return self.flops
        return self.float32_flops if precision == "float32" else self.flops / 2


CARDS: Mapping[str, Card] = MappingProxyType(
    {
        "a100": Card(312e12, 19.5e12, 80 * GB, 2039e9, (8, 0)),
        "a100-40gb": Card(312e12, 19.5e12, 40 * GB, 1555e9, (8, 0)),
        "h100": Card(989.5e12, 67e12, 80 * GB, 3350e9, (9, 0)),
        "h200": Card(989.5e12, 67e12, 141 * GB, 4800e9, (9, 0)),
        "l4": Card(121e12, 30.3e12, 24 * GB, 300e9, (8, 9)),
        "l40s": Card(362e12, 91.6e12, 48 * GB, 864e9, (8, 9)),
    }
)
"""Name -> card, of the A100, H100 and H200 the one with NVLink (SXM).

Source: NVIDIA's data sheets of each (nvidia.com/en-us/data-center/{a100,h100,h200,l4,
l40s}), bfloat16 Tensor Cores without sparsity, which is half of what most of them say;
developer.nvidia.com/cuda-gpus for capabilities.
"""


@dataclasses.dataclass(frozen=True)
class Cards:
    """Cards of one kind in one machine.

    Attributes:
        name: As "h100:8".
        card: One of them.
        chips: How many there are.
    """

    name: str
    card: Card
    chips: int

    @property
    def device(self) -> Device:
        """What kind of device one of them is."""
        return Device("gpu", self.card.capability)

    @property
    def memory(self) -> float:
        """Bytes of one card that programs get: what JAX takes of it."""
        return self.card.sold * taken_share()


def taken_share() -> float:
    """Returns the share of a card that JAX takes for programs: three quarters.

    The environment variables of `FRACTIONS` change it, here as there.

    Raises:
        ValueError: If one is no number above 0, up to 1.

    Source: docs.jax.dev/en/latest/gpu_memory_allocation.html.
    """
    for name in FRACTIONS:
        said = os.environ.get(name)
        if said:
            try:
                share = float(said)
            except ValueError:
                share = 0.0
            if not 0 < share <= 1:
                raise ValueError(
                    f"{name} is {said!r}: use a share above 0, up to 1, as 0.9"
                )
            return share
    return 0.75


def parse_cards(name: str) -> Cards | None:
    """Reads the name of cards, as "h100" or "h100:8"; None if it is no card's."""
    found = re.fullmatch(r"([\w-]+?)(?::(\d+))?", name, re.ASCII)
    if found is None or found[1] not in CARDS:
        return None
    count = int(found[2] or 1)
    if count < 1:
        raise ValueError(f"{name}: use one card or more, as {found[1]}:8")
    return Cards(f"{found[1]}:{count}", CARDS[found[1]], count)
