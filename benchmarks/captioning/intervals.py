"""Shares and means with their 95 % intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

# Standard normal quantile of a two-sided 95 % interval.
_Z = 1.959964
_RESAMPLES, _SEED = 1000, 0
# Resamples drawn at a time, so that memory stays flat for large sets.
_BLOCK = 50


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval and the number of items behind it."""

    value: float
    low: float
    high: float
    count: int

    def json(self) -> dict[str, float]:
        """Return it as numbers for a JSON document."""
        return {name: round(number, 5) for name, number in asdict(self).items()}

    def percent(self) -> str:
        """Return ``75.2 (74.3 to 76.1)``."""
        return f"{100 * self.value:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def points(self) -> str:
        """Return a difference of shares in points, with its sign."""
        return f"{100 * self.value:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"

    def decimal(self, sign: str = "") -> str:
        """Return ``0.612 (0.610 to 0.614)``."""
        return f"{self.value:{sign}.3f} ({self.low:{sign}.3f} to {self.high:{sign}.3f})"


def share(right: int, count: int) -> Figure | None:
    """Return a share with Wilson's interval (E. B. Wilson, JASA 22 (1927) 209); None of nothing."""
    if count == 0:
        return None
    value, square = right / count, _Z * _Z
    middle = (value + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(value * (1 - value) / count + square / (4 * count * count))
    # At 0 and 1 rounding must not leave the value outside.
    return Figure(value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)), count)


def mean(values: np.ndarray) -> Figure | None:
    """Return a mean with its bootstrap interval (percentiles of 1,000 resamples, always the same); None of nothing."""
    count = len(values)
    if count == 0:
        return None
    generator = np.random.default_rng(_SEED)
    means = np.empty(_RESAMPLES)
    for first in range(0, _RESAMPLES, _BLOCK):
        means[first : first + _BLOCK] = values[generator.integers(0, count, (_BLOCK, count))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Figure(float(values.mean()), float(low), float(high), count)
