"""The photos' own vectors, kept on request: which row of their file belongs to which photo, and what an item has of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.provenance import MadeBy
from vlm4rec_edge.store.database import WritableDatabase
from vlm4rec_edge.store.vectors import append_vectors, is_sparse, map_vectors, next_generation, vector_crc32

# The notes of ``meta``: fingerprint and identity of what made the vectors, their length, and the generation of their file.
NOTES = ("photo_vectors", "photo_vectors_by", "photo_dimensions", "photo_generation")
PATTERN = "photos-*.f32"
_BLOCK_ROWS = 4096
# The rows of an item, those of its further photos too.
_ROWS_OF_ITEMS = """
    SELECT items.id, photo_vectors.row FROM items
    JOIN photo_vectors ON photo_vectors.image_sha256 = items.image_sha256 WHERE items.number BETWEEN ?1 AND ?2
    UNION ALL SELECT items.id, photo_vectors.row FROM items JOIN photos ON photos.item = items.id
    JOIN photo_vectors ON photo_vectors.image_sha256 = photos.image_sha256 WHERE items.number BETWEEN ?1 AND ?2
"""
# Photos that an item has; of no other one is the vector kept for ever.
_OF_ITEMS = "image_sha256 IN (SELECT image_sha256 FROM items UNION ALL SELECT image_sha256 FROM photos)"


def photo_file_name(fingerprint: str, generation: int) -> str:
    """Return the name of the file of photo vectors; two towers never share one."""
    return f"photos-{fingerprint[:16]}-{generation}.f32"


def photo_path(database: WritableDatabase) -> Path:
    """Return where the vectors of the photos lie."""
    name = photo_file_name(database.meta("photo_vectors") or "", database.number("photo_generation"))
    return database.folder / name


def has_photo_vector(database: WritableDatabase, fingerprint: str, image_sha256: str) -> bool:
    """Whether a photo has a vector, made by what has this fingerprint."""
    if database.meta("photo_vectors") != fingerprint:
        return False
    return database.first("SELECT 1 FROM photo_vectors WHERE image_sha256 = ?", image_sha256) is not None


def append_photo_vectors(database: WritableDatabase, vectors: Mapping[str, np.ndarray]) -> list[str]:
    """Store the vectors of photos, by the sha256 of each, that have none yet, and return whose; inside of a transaction."""
    known = "SELECT 1 FROM photo_vectors WHERE image_sha256 = ?"
    new = [sha256 for sha256 in vectors if database.first(known, sha256) is None]
    if new:
        first = _end(database)
        append_vectors(photo_path(database), first, np.array([vectors[sha256] for sha256 in new]))
        database.connection.executemany(
            "INSERT INTO photo_vectors VALUES (?, ?, ?)",
            [(row, sha256, vector_crc32(vectors[sha256])) for row, sha256 in enumerate(new, start=first)],
        )
    return new


def begin_photo_vectors(database: WritableDatabase, made_by: MadeBy, dimensions: int) -> int:
    """Go on with vectors made by another tower, and return how many of the one before are forgotten; inside of a transaction.

    They go into a new file. The old one stays until all this is stored.
    """
    forgotten = database.connection.execute("DELETE FROM photo_vectors").rowcount
    generation = next_generation(database.folder, database.number("photo_generation"), PATTERN)
    identity = json.dumps(made_by.identity, ensure_ascii=False)
    noted = made_by.fingerprint, identity, str(dimensions), str(generation)
    database.set_meta(**dict(zip(NOTES, noted, strict=True)))
    return max(forgotten, 0)


def compact_photo_vectors(database: WritableDatabase, *, force: bool) -> None:
    """Rewrite the file without the rows of photos that no item has; only if they are many, or with ``force``.

    As of the texts' vectors, the new file is whole before one transaction makes it the one in use.
    """
    rows = _end(database)
    live = f"SELECT row, image_sha256, crc32 FROM photo_vectors WHERE {_OF_ITEMS} ORDER BY row"
    kept = database.rows(live) if rows else []
    if not kept or not (force or is_sparse(rows, len(kept))):
        return
    old = map_vectors(photo_path(database), rows, database.number("photo_dimensions"))
    generation = next_generation(database.folder, database.number("photo_generation"), PATTERN)
    target = database.folder / photo_file_name(database.meta("photo_vectors") or "", generation)
    try:
        with database.transaction() as connection:
            for start in range(0, len(kept), _BLOCK_ROWS):
                append_vectors(target, start, old[[row for row, *_ in kept[start : start + _BLOCK_ROWS]]])
            connection.execute("DELETE FROM photo_vectors")
            moved = [(row, sha256, crc32) for row, (_, sha256, crc32) in enumerate(kept)]
            connection.executemany("INSERT INTO photo_vectors VALUES (?, ?, ?)", moved)
            database.set_meta(photo_generation=str(generation))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class ItemPhotos:
    """The photo vectors of some items, read where they lie.

    Attributes:
        vectors: Those of the photos, a memory map, [rows, dimensions], float32.
        rows: Their rows, item by item, int64.
        starts: Where the rows of each item begin, and at last where they end, [items + 1], int64.
    """

    vectors: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the mean of each item's photos scaled to length 1, zero where it has none: [n, dimensions], float32."""
        counts = self.starts[positions + 1] - self.starts[positions]
        begins = np.concatenate([[0], np.cumsum(counts)])
        own = np.repeat(self.starts[positions] - begins[:-1], counts) + np.arange(begins[-1])
        found = np.zeros((len(positions), self.vectors.shape[1]), np.float32)
        if len(own):
            has = counts > 0
            sums = np.add.reduceat(self.vectors[self.rows[own]], begins[:-1][has], axis=0, dtype=np.float64)
            found[has] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return found

    @property
    def count(self) -> int:
        """How many items have any."""
        return int((np.diff(self.starts) > 0).sum())


def photos_of_items(
    ids: Sequence[str],
    query: Callable[[str, tuple[int, int]], Iterable[Any]],
    vectors: np.ndarray,
    numbers: tuple[int, int] = (0, 2**62),
) -> ItemPhotos:
    """Find the photo vectors of items.

    Args:
        ids: Of the items, in the order wanted.
        query: What reads rows of the database.
        vectors: The vectors of the photos, [rows, dimensions].
        numbers: Lowest and highest number of these items.
    """
    place = {item_id: number for number, item_id in enumerate(ids)}
    found = [(place[item_id], row) for item_id, row in query(_ROWS_OF_ITEMS, numbers) if item_id in place]
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    return ItemPhotos(vectors, pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(len(ids) + 1)))


def _end(database: WritableDatabase) -> int:
    """Return how many rows of the file are in use, gaps included."""
    return int(database.first("SELECT coalesce(max(row) + 1, 0) FROM photo_vectors")[0])
