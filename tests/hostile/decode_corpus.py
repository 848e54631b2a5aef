"""Decode a stretch of the corpus in a process of its own, which may die of it; run by a test.

Arguments: folder, first number, end number, seconds for a single file, bytes of address space. The file ``at`` in the
folder always names the photo at work, so that a parent that finds this process dead knows which one it was.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from hostile_corpus import hostile_photo

from vlm4rec_edge.catalog.photo import MAX_SIDE, decode_photo, read_photo_file
from vlm4rec_edge.errors import PhotoError


def decode_all(folder: Path, first: int, end: int, seconds: float) -> dict[str, object]:
    """Decode the photos and return what came of them."""
    outcomes: Counter[str] = Counter()
    slowest, wrong = (0.0, ""), []
    place = folder / "photo"
    at = (folder / "at").open("wb", buffering=0)
    for number in range(first, end):
        name, content = hostile_photo(number)
        place.write_bytes(content)
        at.seek(0)
        at.write(name.ljust(200).encode())
        started = time.monotonic()
        # The default action of the alarm ends the process, even inside a decoder that never returns to Python.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            pixels = decode_photo(read_photo_file(place), "The photo")
        except PhotoError as error:
            outcomes["refused"] += 1
            if not str(error).endswith(".") or "\n" in str(error):
                wrong.append(f"{name}: {error!r} is no sentence")
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
        else:
            outcomes["pictures"] += 1
            if not (
                pixels.dtype == np.uint8
                and pixels.ndim == 3
                and pixels.shape[2] == 3
                and 1 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= MAX_SIDE
                and pixels.flags.c_contiguous
            ):
                wrong.append(f"{name}: {pixels.shape} {pixels.dtype}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, (time.monotonic() - started, name))
    return {**outcomes, "slowest": slowest, "wrong": wrong, "peak": peak_bytes()}


def peak_bytes() -> int:
    """The most memory this process has held (``ru_maxrss`` would count what its parent held when it was started)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    first, end = int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[5]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(json.dumps(decode_all(Path(sys.argv[1]), first, end, float(sys.argv[4]))))
