"""The vectors of the texts: which row of the vector file belongs to which text; appended, forgotten, compacted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vlm4rec_edge.store.database import WritableDatabase
from vlm4rec_edge.store.vectors import (
    append_vectors,
    is_sparse,
    map_vectors,
    next_generation,
    vector_crc32,
    vector_file_name,
)

_COMPACT_BLOCK = 4096


def content_path(database: WritableDatabase) -> Path:
    """Return where the vectors of the texts lie."""
    return database.folder / vector_file_name(database.meta("encoder") or "", database.number("generation"))


def row_of(database: WritableDatabase, text: str) -> int | None:
    """Return the row of a text's vector, or None if it has none yet."""
    found = database.first("SELECT row FROM vectors WHERE text_sha256 = ?", _sha256(text))
    return None if found is None else int(found[0])


def append_content(database: WritableDatabase, vectors: Mapping[str, np.ndarray]) -> None:
    """Store new vectors by their texts; inside of a transaction."""
    if not vectors:
        return
    first = _end(database)
    append_vectors(content_path(database), first, np.array(list(vectors.values())))
    for row, (text, vector) in enumerate(vectors.items(), start=first):
        database.connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (row, _sha256(text), vector_crc32(vector)))


def forget_content(database: WritableDatabase) -> None:
    """Go on with no vectors, in a new file; inside of a transaction. The old file stays until all this is stored."""
    database.connection.execute("UPDATE items SET vector_row = NULL")
    database.connection.execute("DELETE FROM vectors")
    database.set_meta(generation=str(next_generation(database.folder, database.number("generation"))))


def compact_content(database: WritableDatabase, *, force: bool) -> int:
    """Rewrite the vector file without the rows that no item has, and return how many were dropped.

    Only if they are many, or with ``force``. The new file is whole on disk before one transaction makes it the one
    in use, so a crash leaves the old one. Readers that have the old file open keep their view.
    """
    rows = _end(database)
    live = int(database.first("SELECT count(DISTINCT vector_row) FROM items")[0])
    if not force and not is_sparse(rows, live):
        return 0
    old = map_vectors(content_path(database), rows, database.number("dimensions"))
    generation = next_generation(database.folder, database.number("generation"))
    target = database.folder / vector_file_name(database.meta("encoder") or "", generation)
    try:
        with database.transaction():
            _move_rows(database, old, target)
            database.set_meta(generation=str(generation))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return rows - live


def _move_rows(database: WritableDatabase, old: np.ndarray, target: Path) -> None:
    """Write the rows that items have to ``target``, without gaps, and tell the database; inside a transaction."""
    connection = database.connection
    connection.execute("PRAGMA defer_foreign_keys = ON")
    connection.execute("CREATE TEMP TABLE moves (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
    kept = connection.execute("SELECT DISTINCT vector_row FROM items WHERE vector_row IS NOT NULL ORDER BY vector_row")
    written = 0
    while block := [row for (row,) in kept.fetchmany(_COMPACT_BLOCK)]:
        append_vectors(target, written, old[block])
        connection.executemany(
            "INSERT INTO moves VALUES (?, ?)", zip(block, range(written, written + len(block)), strict=True)
        )
        written += len(block)
    connection.execute("DELETE FROM vectors WHERE row NOT IN (SELECT old FROM moves)")
    # By way of negative numbers, so that no row meets another on its way.
    connection.execute("UPDATE vectors SET row = (SELECT -1 - new FROM moves WHERE old = row)")
    connection.execute("UPDATE vectors SET row = -1 - row")
    connection.execute(
        "UPDATE items SET vector_row = (SELECT new FROM moves WHERE old = vector_row) WHERE vector_row IS NOT NULL"
    )
    connection.execute("DROP TABLE moves")


def _end(database: WritableDatabase) -> int:
    """Return how many rows of the vector file are in use, gaps included."""
    return int(database.first("SELECT coalesce(max(row) + 1, 0) FROM vectors")[0])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
