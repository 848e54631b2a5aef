"""What takes long to make and is only read, made once for all processes that run tests side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

_SECONDS = 240


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder of this run that the first to ask has filled; the others wait until it is."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    ready = folder.with_suffix(".ready")
    try:
        folder.mkdir()
    except FileExistsError:
        end = time.monotonic() + _SECONDS
        while not ready.exists():
            assert time.monotonic() < end, f"{folder} was not made"
            time.sleep(0.05)
    else:
        make(folder)
        ready.touch()
    return folder
