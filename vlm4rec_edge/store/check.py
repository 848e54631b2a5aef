"""Is a store whole? Database and vectors are looked at, nothing is changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.encoding.checked import LENGTH_TOLERANCE
from vlm4rec_edge.encoding.text import PLAIN_KINDS, check_encoded_text, text_of_photos
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.provenance import is_provenance
from vlm4rec_edge.store.learned import file_name, read_learned
from vlm4rec_edge.store.photo_vectors import photos_of_items
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.schema import DATABASE_NAME, caption_crc32, photo_crc32, text_crc32
from vlm4rec_edge.store.trouble import is_damage
from vlm4rec_edge.store.vectors import vector_crc32

_BLOCK_ROWS = 8192
# A broken file breaks many rows alike; the first few tell what happened.
_NAMED = 5
# Another processor sums in another order.
_ROUNDING = 1e-4

# What reads rows: ``StoreReader.query``, or ``execute`` of the connection of a writer.
Query = Callable[[str], Iterable[Any]]


@dataclass(frozen=True)
class Finding:
    """Something wrong: the file, and a sentence about it."""

    file: str
    problem: str


@dataclass(frozen=True)
class VerifyReport:
    """What was found, and how much was looked at (``items``, ``captions``, ``vectors``, ``hnsw_recall`` or None).

    ``photo_vectors`` of an index were looked at as well. ``index`` is the path of the index or the bundle; ``remedy`` a
    sentence that says what to do, empty where nothing is wrong or the findings say it.
    """

    findings: tuple[Finding, ...]
    items: int = 0
    captions: int = 0
    vectors: int = 0
    hnsw_recall: float | None = None
    index: str = ""
    remedy: str = ""
    photo_vectors: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``verify --json`` prints."""
        return {**asdict(self), "ok": self.ok}


def check_store(folder: Path) -> VerifyReport:
    """Check a store: database, checksums of captions, items and vectors, lengths, references.

    Raises:
        StoreError: there is none at ``folder``, or it is busy or may not be read. Damage is reported, not raised.
    """
    if not (folder / DATABASE_NAME).is_file():
        raise StoreError(f"There is no index at {folder}.")
    try:
        store = StoreReader(folder, content=True)
    except StoreError as error:
        if not is_damage(error):
            raise
        return VerifyReport((Finding(DATABASE_NAME, str(error)),), index=str(folder))
    with store:
        findings: list[Finding] = []
        for check in (_database, _captions, _items, _texts, _vectors, _photo_vectors, _learned):
            try:
                findings += check(store)
            except StoreError as error:
                if not is_damage(error):
                    raise
                findings.append(Finding(DATABASE_NAME, str(error)))
        try:
            counts = store.counts()
        except StoreError:
            counts = {}
    names = ("items", "captions", "vectors", "photo_vectors")
    items, captions, vectors, photos = (counts.get(name, 0) for name in names)
    return VerifyReport(tuple(findings), items, captions, vectors, index=str(folder), photo_vectors=photos)


def damaged_content(store: StoreReader) -> list[Finding]:
    """Return the captions, items and vectors that are not what was written.

    Raises:
        StoreError: the database cannot be read.
    """
    return [finding for check in (_captions, _items, _vectors, _photo_vectors, _learned) for finding in check(store)]


def _database(store: StoreReader) -> Iterator[Finding]:
    for (message,) in store.query("PRAGMA integrity_check"):
        if message != "ok":
            yield Finding(DATABASE_NAME, f"The database is damaged: {message}.")
    if not store.has_its_schema():
        yield Finding(DATABASE_NAME, "The tables are not those that this version of vlm4rec-edge makes.")
    for table, _, parent, _ in store.query("PRAGMA foreign_key_check"):
        yield Finding(DATABASE_NAME, f"A row of {table} points to a row of {parent} that is not there.")
    for table in ("groundings", "encoders"):
        for key, text in store.query(f"SELECT fingerprint, provenance FROM {table}"):
            if text != "{}" and not is_provenance(key, text):  # "{}": lost before, and known to be
                yield Finding(DATABASE_NAME, f"A row of {table} is not what was written.")


def _captions(store: StoreReader) -> Iterator[Finding]:
    yield from _named(damaged_captions(store.query), "The caption {} is not what was written.")


def _items(store: StoreReader) -> Iterator[Finding]:
    yield from _named(damaged_items(store.query), "The item {} is not what was written.")
    yield from _named(items_of_damaged_photos(store.query), "A photo of the item {} is not what was written.")
    missing = next(store.query("SELECT count(*) FROM items WHERE vector_row IS NULL"))[0]
    if missing:
        # Without its notes an index cannot be encoded again by itself.
        how = (
            "`vlm4rec-edge index` or `repair`"
            if "encoder" in store.meta
            else "`vlm4rec-edge index` on the catalog again"
        )
        yield Finding(DATABASE_NAME, f"{missing} items have no vector yet; run {how}.")


def _texts(store: StoreReader) -> Iterator[Finding]:
    yield from _named(items_of_other_texts(store), "The item {} has the vector of another text.")


def items_of_other_texts(store: StoreReader) -> list[str]:
    """Return the ids of items that do not point to the vector of their own words.

    Any text of an item will do: an earlier run may have encoded another one than the last.
    """
    query = (
        "SELECT items.id, items.title, coalesce(captions.text, ''), vectors.text_sha256, photos.place, "
        "coalesce(further.text, '') FROM items LEFT JOIN vectors ON vectors.row = items.vector_row "
        "LEFT JOIN captions ON captions.key = items.caption_key LEFT JOIN photos ON photos.item = items.id "
        "LEFT JOIN captions AS further ON further.key = photos.caption_key "
        "WHERE items.vector_row IS NOT NULL ORDER BY items.id, photos.place"
    )
    noted = [store.meta.get("encoded_text", ""), *store.meta.get("encoded_before", "").split()]
    kinds = [*PLAIN_KINDS, *(check_encoded_text(kind) for kind in noted if ":" in kind)]
    wrong = []
    for item_id, rows in groupby(store.query(query), key=itemgetter(0)):
        (_, title, first, sha256, *_), *_ = photos = list(rows)
        captions = [str(first), *(str(caption) for *_, place, caption in photos if place is not None)]
        texts = {text_of_photos(kind, title=str(title), captions=captions) for kind in kinds}
        if sha256 not in {hashlib.sha256(text.encode()).hexdigest() for text in texts}:
            wrong.append(str(item_id))
    return wrong


def damaged_captions(query: Query) -> list[Any]:
    """Return the keys of the captions that differ from their checksum."""
    rows = query("SELECT key, image_sha256, question, text, fields, crc32 FROM captions")
    return [row[0] for row in rows if caption_crc32(*row[:5]) != row[5]]


def damaged_items(query: Query) -> list[Any]:
    """Return the ids of the items that differ from their checksum."""
    rows = query("SELECT id, image, image_sha256, title, attributes, caption_key, crc32 FROM items")
    return [row[0] for row in rows if text_crc32(*row[:6]) != row[6]]


def items_of_damaged_photos(query: Query) -> list[Any]:
    """Return the ids of the items of further photos that differ from their checksum, one for each photo."""
    rows = query("SELECT item, place, image, image_sha256, caption_key, crc32 FROM photos")
    return [row[0] for row in rows if photo_crc32(*row[:5]) != row[5]]


def _named(wrong: list[Any], sentence: str) -> Iterator[Finding]:
    for name in wrong[:_NAMED]:
        yield Finding(DATABASE_NAME, sentence.format(repr(str(name))))
    if len(wrong) > _NAMED:
        yield Finding(DATABASE_NAME, f"... and {len(wrong) - _NAMED} more.")


def _vectors(store: StoreReader) -> Iterator[Finding]:
    bad = bad_vector_rows(store)
    if bad:
        rows = ", ".join(map(str, bad[:_NAMED]))
        yield Finding(store.vector_file, f"{len(bad)} vectors are not what was written (rows {rows} ...).")


def _learned(store: StoreReader) -> Iterator[Finding]:
    """Compare the mixed vectors with those made of the text vectors and the learned factors."""
    fingerprint = store.meta.get("learned")
    if not fingerprint:
        return
    try:
        learned = read_learned(store.folder, fingerprint)
        mixed = StoreReader(store.folder)
    except StoreError as error:
        yield Finding(file_name(fingerprint), str(error))
        return
    with mixed:
        try:
            is_known = learned.photos and store.meta.get("photo_vectors") == learned.photos
            photo_vectors = store.photo_vectors() if is_known else np.zeros((0, learned.photo_dimensions), np.float32)
        except StoreError:  # told by itself; what was mixed cannot be compared without them
            return
        items = store.query(
            "SELECT number, id, attributes, vector_row, learned_row FROM items WHERE vector_row IS NOT NULL ORDER BY number"
        )
        while block := list(islice(items, _BLOCK_ROWS)):
            numbers, ids, cells, rows, places = zip(*block, strict=True)
            if any(place is None for place in places):
                yield Finding(DATABASE_NAME, "Some items lack their learned vectors; run `vlm4rec-edge repair`.")
                return
            photos = None
            if learned.photos:
                query = store.query if is_known else lambda *_: []
                found = photos_of_items(ids, query, photo_vectors, (numbers[0], numbers[-1]))
                photos = found.at(np.arange(len(ids)))
            attributes = [json.loads(cell) for cell in cells]
            right = learned.vectors(ids, store.vectors_at(rows), attributes, numbers, photos)
            wrong = np.abs(right - mixed.vectors_at(places)).max(axis=1) > _ROUNDING
            if wrong.any():
                name = ids[int(np.argmax(wrong))]
                yield Finding(mixed.vector_file, f"The vector of {name!r} is not what was written.")
                return


def _photo_vectors(store: StoreReader) -> Iterator[Finding]:
    try:
        store.photo_vectors()
    except StoreError as error:  # only of the file; what is learned from is not what is recommended by
        yield Finding(store.photo_vector_file, f"The photos' own vectors cannot be read: {error}")
        return
    if bad := bad_photo_rows(store):
        rows = ", ".join(map(str, bad[:_NAMED]))
        problem = f"{len(bad)} vectors of photos are not what was written (rows {rows} ...)."
        yield Finding(store.photo_vector_file, problem)


def bad_photo_rows(store: StoreReader) -> list[int]:
    """Return the rows of the file of photo vectors whose bytes differ from their checksum, or that are no unit vectors."""
    return _bad_rows(store.query("SELECT row, crc32 FROM photo_vectors ORDER BY row"), store.photo_vectors())


def bad_vector_rows(store: StoreReader) -> list[int]:
    """Return the rows of the vector file whose bytes differ from their checksum, or that are no unit vectors."""
    return _bad_rows(store.query("SELECT row, crc32 FROM vectors ORDER BY row"), store.vectors)


def _bad_rows(known: Iterator[Any], written: np.ndarray) -> list[int]:
    bad: list[int] = []
    while block := list(islice(known, _BLOCK_ROWS)):
        rows = [row for row, _ in block]
        if rows[0] < 0:  # no vector was ever written there
            bad += [row for row in rows if row < 0]
            block = [entry for entry in block if entry[0] >= 0]
            rows = [row for row, _ in block]
        vectors = np.asarray(written[rows])
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        for vector, length, (row, checksum) in zip(vectors, lengths, block, strict=True):
            if vector_crc32(vector) != checksum or not abs(length - 1.0) <= LENGTH_TOLERANCE:
                bad.append(row)
    return bad
