"""Which moment of an index lies in a folder, found out without opening it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vlm4rec_edge.store.schema import DATABASE_NAME


def generation(folder: Path) -> str:
    """Return a text that is another one after every change of the index, and the same in every process until then.

    It may also be another one where nothing changed, as when SQLite moves what was written from its log into the database.
    Costs two looks at the folder; empty where no index is there.
    """
    parts = []
    for path in (folder / DATABASE_NAME, folder / f"{DATABASE_NAME}-wal"):
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size:  # a reader makes an empty log
            parts.append(f"{path.name} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16] if parts else ""
