"""How much memory this process may still take."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

# A control group without a limit says "max", or in version 1 a number near 2^63.
_NO_LIMIT = 1 << 60


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can take without swapping, or None on a system that does not report it.

    On Linux what the kernel estimates (``MemAvailable``), or what is left of the limit of a control group, as containers have
    it, if that is less; elsewhere half of the machine's memory.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    memory = _text(root / "proc/meminfo")
    if found := re.search(r"^MemAvailable:\s+(\d+) kB", memory, re.MULTILINE):
        return min([int(found[1]) * 1024, *_left_in_groups(root)])
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return None


def _left_in_groups(root: Path) -> list[int]:
    """Return what is left in each control group of this process that has a limit.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (``memory.max``, ``memory.current``) and its version 1.
    """
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "memory"}:
            continue
        mount = root / "sys/fs/cgroup" / controllers
        limit, current = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        )
        group = mount / path.strip("/")
        for place in [group, *group.parents]:  # the limit of a group holds for those inside it as well
            most, used = _number(place / limit), _number(place / current)
            if most is not None and used is not None and most < _NO_LIMIT:
                left.append(min(max(most - used, 0) + _unused_cache(place), most))
            if place == mount:
                break
    return left


def _unused_cache(group: Path) -> int:
    """Return the bytes of files read before: they count as used, but give way as soon as memory is asked for."""
    found = re.findall(r"^(?:total_)?inactive_file (\d+)", _text(group / "memory.stat"), re.MULTILINE)
    return max(map(int, found), default=0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="ascii", errors="replace")
    return ""
