"""Captioning processes for tests: as they come, and such that die by a true signal."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from pathlib import Path

import pytest
from forked import interpreter

from vlm4rec_edge import IsolatedCaptioner, resolve_lvlm

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
DEADLY_PYTHON = Path(__file__).parents[2] / "benchmarks/breaking/deadly_python.py"


def isolated_captioner(**settings: object) -> IsolatedCaptioner:
    """The embedded model in a process of its own."""
    return IsolatedCaptioner(resolve_lvlm(), **{"batch": 4, **settings})  # type: ignore[arg-type]


def deadly(patch: pytest.MonkeyPatch, **what: object) -> None:
    """Have the processes that are started from now on die as ``deadly_python.py`` tells."""
    patch.setenv("VLM4REC_EDGE_PYTHON", shlex.join([*interpreter(), str(DEADLY_PYTHON)]))
    patch.setenv("DEADLY", json.dumps(what))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
