"""How long something takes: percentiles of many calls, and medians of several runs with their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_Input = TypeVar("_Input")


@dataclass(frozen=True)
class Spread:
    """The median of several runs, the lowest and the highest of them."""

    median: float
    low: float
    high: float

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """Return ``1.23 (1.20 to 1.31)``; the median alone if there was one run, or if all agree to these digits."""
        middle, low, high = (f"{value * scale:,.{digits}f}" for value in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def spread(values: Sequence[float]) -> Spread:
    """Return median, lowest and highest of what several runs measured."""
    return Spread(statistics.median(values), min(values), max(values))


def seconds_each(call: Callable[[_Input], Any], inputs: Iterable[_Input]) -> list[float]:
    """Return how many seconds each call took, sorted."""
    times = []
    for value in inputs:
        started = time.perf_counter()
        call(value)
        times.append(time.perf_counter() - started)
    return sorted(times)


def percentile(times: Sequence[float], percent: float) -> float:
    """Return the time within which so many percent of the sorted ``times`` lie."""
    return times[min(len(times) - 1, int(len(times) * percent / 100))]
