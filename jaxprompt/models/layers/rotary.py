"""Rotary positions as data: their frequencies, scaled in four ways for long texts."""

import dataclasses
import math
from typing import TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True)
class Linear:
    """All positions divided by one factor.

    Source: Chen et al. 2023, eq. 4 (arXiv:2306.15595).
    """

    factor: float

    def scale(self, frequencies: np.ndarray, theta: float) -> tuple[np.ndarray, float]:
        """Returns the frequencies, and what cosine and sine are multiplied by."""
        del theta
        return frequencies / self.factor, 1.0


@dataclasses.dataclass(frozen=True)
class Llama3:
    """Low frequencies divided by a factor, high ones kept, a ramp between them.

    Source: Llama 3.1's released code (`apply_scaling`), as in transformers.

    Attributes:
        factor: What low frequencies are divided by.
        low_factor: From this many turns within `positions` on, the ramp begins.
        high_factor: From this many turns on, frequencies are kept; above `low_factor`.
        positions: Tokens of a sequence that the model was first trained on.
    """

    factor: float
    low_factor: float
    high_factor: float
    positions: int

    def scale(self, frequencies: np.ndarray, theta: float) -> tuple[np.ndarray, float]:
        """Returns the frequencies, and what cosine and sine are multiplied by."""
        del theta
        turns = self.positions * frequencies / (2 * math.pi)
        kept = (turns - self.low_factor) / (self.high_factor - self.low_factor)
        kept = np.clip(kept, 0.0, 1.0)
        return (1 - kept) * frequencies / self.factor + kept * frequencies, 1.0


@dataclasses.dataclass(frozen=True)
class Yarn:
    """Frequencies that turn seldom divided by a factor, and sharper attention.

    Source: Peng et al. 2023, sec. 3.2 to 3.4 (arXiv:2309.00071), as in transformers.

    Attributes:
        factor: What frequencies are divided by that turn `slow` times or less.
        positions: Tokens of a sequence that the model was first trained on.
        fast: From this many turns within `positions` on, frequencies are kept.
        slow: Up to this many turns, frequencies are divided.
        attention: What cosine and sine are multiplied by; None for 0.1 ln(factor) + 1.
        truncate: Whether the ramp begins and ends at whole features.
    """

    factor: float
    positions: int
    fast: float = 32.0
    slow: float = 1.0
    attention: float | None = None
    truncate: bool = True

    def scale(self, frequencies: np.ndarray, theta: float) -> tuple[np.ndarray, float]:
        """Returns the frequencies, and what cosine and sine are multiplied by."""
        width = 2 * len(frequencies)

        def feature(turns: float) -> float:
            wavelength = self.positions / (turns * 2 * math.pi)
            return width * math.log(wavelength) / (2 * math.log(theta))

        first, last = feature(self.fast), feature(self.slow)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, width - 1)
        # The smallest number keeps a ramp without length from dividing by 0.
        length = max(last - first, 1e-3)
        divided = np.clip((np.arange(width // 2) - first) / length, 0.0, 1.0)
        scaled = divided * frequencies / self.factor + (1 - divided) * frequencies
        if self.attention is not None:
            return scaled, self.attention
        return scaled, yarn_attention(self.factor)


@dataclasses.dataclass(frozen=True)
class Divided:
    """Each frequency divided by a number of its own, as GGUF files store it.

    Attributes:
        divisors: One for each pair of rotated features.
    """

    divisors: tuple[float, ...]

    def scale(self, frequencies: np.ndarray, theta: float) -> tuple[np.ndarray, float]:
        """Returns the frequencies, and what cosine and sine are multiplied by."""
        del theta
        return frequencies / np.asarray(self.divisors, np.float32), 1.0


Scaling: TypeAlias = Linear | Llama3 | Yarn | Divided
"""How a model reads longer texts than it was first trained on."""


def yarn_attention(factor: float, scale: float = 1.0) -> float:
    """Returns what YaRN multiplies cosine and sine by.

    Source: Peng et al. 2023, eq. 22 (arXiv:2309.00071).
    """
    return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0


@dataclasses.dataclass(frozen=True)
class Rotary:
    """The rotary positions of one layer.

    Attributes:
        theta: Base of the wavelengths.
        width: Features of each head that turn, the first ones; even.
        scaling: How the frequencies are scaled; None for as they are.
    """

    theta: float
    width: int
    scaling: Scaling | None = None

    def frequencies(self) -> tuple[np.ndarray, float]:
        """Returns radians a position, float32 [R], and a factor of cosine and sine.

        Source: Su et al. 2021, eq. 15 (arXiv:2104.09864).
        """
        powers = np.arange(0, self.width, 2, dtype=np.float32) / self.width
        frequencies = 1.0 / np.float32(self.theta) ** powers
        if self.scaling is None:
            return frequencies, 1.0
        return self.scaling.scale(frequencies, self.theta)
