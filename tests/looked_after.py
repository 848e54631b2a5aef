"""One thing done to an index under its lock, or behind its back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.indexing.repair import RepairReport
from vlm4rec_edge.store.schema import DATABASE_NAME


def repaired(folder: Path, *, encoder: Encoder | None = None) -> RepairReport:
    """Repair an index."""
    with IndexFolder(folder) as index:
        return index.repair(encoder=encoder)


def damaged(folder: Path, statement: str) -> None:
    """Change one row of the database by an SQL statement; without one, overwrite all vectors with zeros."""
    if not statement:
        (path,) = folder.glob("vectors-*")
        path.write_bytes(bytes(path.stat().st_size))
        return
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as database, database:
        assert database.execute(statement).rowcount == 1


def removed(folder: Path, item_ids: Sequence[str]) -> tuple[str, ...]:
    """Remove items, and return the ids that the index did not hold."""
    with IndexFolder(folder) as index:
        return index.remove(item_ids).unknown
