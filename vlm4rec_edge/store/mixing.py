"""The mixed vectors: what was learned from purchases put into those of the texts, for every item that lacks its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.content import content_path
from vlm4rec_edge.store.database import WritableDatabase
from vlm4rec_edge.store.learned import Learned, read_learned
from vlm4rec_edge.store.photo_vectors import photo_path, photos_of_items
from vlm4rec_edge.store.vectors import append_vectors, is_sparse, map_vectors, next_generation, vector_file_name

# Made and written at a time: 14 MB at 450 dimensions.
_MIXED_ROWS = 8192


class MixedVectors:
    """The mixed vectors of a store that is open for writing, and what was learned, read once.

    Every method that changes something is called inside of a transaction.
    """

    def __init__(self, database: WritableDatabase) -> None:
        self._database = database
        self._learned: Learned | None = None

    @property
    def fingerprint(self) -> str:
        """That of what was learned; empty if nothing was."""
        return self._database.meta("learned") or ""

    @property
    def columns_count(self) -> bool:
        """Whether a column of the items says which are new."""
        return bool(json.loads(self._database.meta("learned_facts") or "{}").get("new_items"))

    @property
    def photos(self) -> str:
        """Fingerprint of what made the photos' own vectors, if it was learned from these too; else empty."""
        return str(json.loads(self._database.meta("learned_facts") or "{}").get("photos", ""))

    @property
    def path(self) -> Path:
        """Where the mixed vectors lie."""
        name = vector_file_name(self.fingerprint, self._database.number("learned_generation"))
        return self._database.folder / name

    def is_sparse(self) -> bool:
        """Whether so many of them are no item's any more that they are worth making anew."""
        made, live = self._database.number("learned_rows"), self._database.first("SELECT count(learned_row) FROM items")
        return is_sparse(made, int(live[0]))

    def keep(self, learned: Learned) -> None:
        """Keep what was learned, and make all mixed vectors by it.

        Raises:
            StoreError: it was learned of other vectors.
        """
        of_others = learned.photos not in ("", self._database.meta("photo_vectors"))
        if of_others or (learned.encoder, learned.encoded_text) != tuple(
            map(self._database.meta, ("encoder", "encoded_text"))
        ):
            raise StoreError(f"{self._database.folder} has other vectors than this was learned from; learn again.")
        learned.save(self._database.folder)
        self._database.set_meta(
            learned=learned.fingerprint,
            learned_factors=str(learned.layout.factors),
            learned_facts=json.dumps(dict(learned.facts)),
        )
        self.mix_anew()

    def forget(self) -> None:
        """Forget what was learned; its files stay until this is stored."""
        self._database.connection.execute("DELETE FROM meta WHERE key LIKE 'learned%'")
        self._database.connection.execute("UPDATE items SET learned_row = NULL")

    def mix_anew(self) -> None:
        """Make all mixed vectors again, into a new file; nothing where nothing was learned."""
        if self.fingerprint:
            generation = next_generation(self._database.folder, self._database.number("learned_generation"))
            self._database.set_meta(learned_generation=str(generation), learned_rows="0")
            self._database.connection.execute("UPDATE items SET learned_row = NULL")
            self.mix()

    def mix_anew_with_photos(self, hashes: Sequence[str]) -> None:
        """Take away the mixed vector of every item that shows one of these photos, if it was learned from photos."""
        if self.photos:
            for sha256 in hashes:
                self._database.connection.execute(
                    "UPDATE items SET learned_row = NULL WHERE image_sha256 = ?1 "
                    "OR id IN (SELECT item FROM photos WHERE image_sha256 = ?1)",
                    (sha256,),
                )

    def mix(self) -> None:
        """Give the items that lack it their mixed vector."""
        fingerprint, database = self.fingerprint, self._database
        if not fingerprint:
            return
        query = (
            "SELECT number, id, attributes, vector_row FROM items WHERE vector_row IS NOT NULL AND learned_row IS NULL "
            f"ORDER BY number LIMIT {_MIXED_ROWS}"
        )
        while items := database.rows(query):
            if self._learned is None or self._learned.fingerprint != fingerprint:
                self._learned = read_learned(database.folder, fingerprint)
            numbers, ids, attributes, rows = zip(*items, strict=True)
            content = map_vectors(content_path(database), max(rows) + 1, database.number("dimensions"))[list(rows)]
            first = database.number("learned_rows")
            photos = self._photos(self._learned, ids, numbers) if self._learned.photos else None
            mixed = self._learned.vectors(ids, content, list(map(json.loads, attributes)), numbers, photos)
            append_vectors(self.path, first, mixed)
            database.connection.executemany(
                "UPDATE items SET learned_row = ? WHERE number = ?",
                [(first + place, number) for place, number in enumerate(numbers)],
            )
            database.set_meta(learned_rows=str(first + len(items)))

    def _photos(self, learned: Learned, ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        """Return the photo vectors of items, zero where an item has none; those of another tower are none."""
        database = self._database
        if database.meta("photo_vectors") != learned.photos:
            return np.zeros((len(ids), learned.photo_dimensions), np.float32)
        rows = int(database.first("SELECT coalesce(max(row) + 1, 0) FROM photo_vectors")[0])
        vectors = map_vectors(photo_path(database), rows, database.number("photo_dimensions"))
        found = photos_of_items(ids, lambda sql, span: database.rows(sql, *span), vectors, (min(numbers), max(numbers)))
        return found.at(np.arange(len(ids)))
