"""How busy a machine is: what is timed beside other programs is their time as well."""

from __future__ import annotations

import os

# Threads that want to run, for each core. Where there were more than the first, it is timed again once there are fewer than
# the second; they lie apart, so that a load that goes up and down does not have it timed at every turn.
_BUSY, _QUIET = 0.5, 0.25


def load_of_a_core() -> float | None:
    """Return how many threads wanted to run in the last minute, for each core of the machine; None where it is not known."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows does not count them
        return None


def was_busy(load: float | None) -> bool:
    """Whether a load is one beside which nothing can be timed."""
    return load is not None and load > _BUSY


def is_worth_timing_again(load: float | None) -> bool:
    """Whether what was timed at this load was timed on a busy machine that is quiet now."""
    now = load_of_a_core()
    return was_busy(load) and now is not None and now < _QUIET


def busiest(*loads: float | None) -> float | None:
    """Return the highest load that is known; None if none is."""
    return max((load for load in loads if load is not None), default=None)
