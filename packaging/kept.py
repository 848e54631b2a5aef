"""Steps that are done once: what a step made is kept in a folder named by everything that it was made from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "kept"


def kept(name: str, made_from: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """Return the folder that ``make`` fills, from an earlier run if it was made from the same.

    Args:
        name: Of the step; what an earlier run of it made from something else is removed.
        made_from: Everything the result depends on: settings, versions, texts of files. Values that JSON can hold.
        make: Fills the empty folder it is given. If it fails, nothing is kept.
    """
    key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    folder = KEPT / name / key
    if not folder.is_dir():
        shutil.rmtree(folder.parent, ignore_errors=True)
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(parents=True)
        make(unfinished)
        unfinished.rename(folder)
    return folder
