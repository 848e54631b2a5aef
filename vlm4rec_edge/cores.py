"""How many cores there are to compute on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def usable_cores() -> int:
    """Return how many cores this process may use; two threads of one core count as two."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def physical_cores(root: Path = Path("/")) -> int:
    """Return on how many cores, each counted once, this process may run; where that is not known, ``usable_cores``.

    A second thread on a core gains nothing where both multiply matrices.

    Args:
        root: Where ``sys`` lies.
    """
    cores = set()
    with suppress(OSError, AttributeError):
        for number in os.sched_getaffinity(0):
            siblings = root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
            cores.add(siblings.read_text(encoding="ascii").strip())
        return max(1, len(cores))
    return usable_cores()
