"""The output of a shard: one Parquet file with captions, vectors, failures, and what made them; whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vlm4rec_edge
from vlm4rec_edge.addresses import path_of_uri, uri_of
from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.encoding.text import EncodedText, check_encoded_text
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.shards.entries import require_parquet
from vlm4rec_edge.shards.folder import VERSION
from vlm4rec_edge.shards.making import ShardMaking
from vlm4rec_edge.store.grounded import GroundedItem, GroundedPhoto, grounded_item

Batch = tuple[list[GroundedItem], np.ndarray]
# Items written, and read, at a time: 3 MB of vectors at 384 dimensions.
BATCH_ITEMS = 2048
_WRITTEN: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
# What to do about a file whose damage shows only when all of it is read.
_REMEDY = "make it again with `vlm4rec-edge shard run --verify`"
# In the metadata of the file: the note, a JSON object, and its sha256.
_NOTE, _NOTE_SHA256 = b"vlm4rec_edge.shard", b"vlm4rec_edge.shard.sha256"


@dataclass(frozen=True)
class Note:
    """What an output says of itself.

    Attributes:
        rows: Fingerprint of the rows of its shard.
        made_by: Fingerprint of what made it.
        making: What made it.
        items: How many items are in it.
        failures: What of its shard could not be used.
        sha256: Of its items and their vectors.
        package: Version of this package that made it.
        notes: Notes of the run, which the index that it is merged into keeps.
    """

    rows: str
    made_by: str
    making: ShardMaking
    items: int
    failures: tuple[Failure, ...]
    sha256: str
    package: str
    notes: dict[str, str]


def write_output(
    path: Path,
    batches: Iterable[Batch],
    failures: Sequence[Failure],
    *,
    rows: str,
    made_by: ShardMaking,
    notes: dict[str, str],
) -> int:
    """Write the output of a shard and return how many items are in it.

    Args:
        path: The file.
        batches: Items with their vectors [n, dimensions], float32.
        failures: What of the shard could not be used.
        rows: Fingerprint of its rows.
        made_by: What made it.
        notes: As of ``Note``.

    Raises:
        StoreError: the disk is full, or the file cannot be written.
    """
    pyarrow = require_parquet()
    from pyarrow import parquet

    making, digest, items = made_by.making, hashlib.sha256(), 0
    schema = _schema(pyarrow, making.dimensions, making.photo_vectors_by is not None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part, parquet.ParquetWriter(part, schema, **_WRITTEN) as writer:
            for entries, vectors in batches:
                _update(digest, entries, vectors)
                writer.write_table(_table(pyarrow, schema, entries, vectors))
                items += len(entries)
            note = {
                "version": VERSION,
                "package": vlm4rec_edge.__version__,
                "rows": rows,
                "made_by": made_by.fingerprint,
                **made_by.to_dict(),
                "items": items,
                "sha256": digest.hexdigest(),
                "failures": [[failure.where, failure.stage, failure.reason] for failure in failures],
                "notes": notes,
            }
            text = json.dumps(note, ensure_ascii=False).encode("utf-8")
            writer.add_key_value_metadata({_NOTE: text, _NOTE_SHA256: hashlib.sha256(text).hexdigest()})
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. What was captioned is kept; make room and run the shard "
            "again."
        ) from error
    return items


def read_note(path: Path) -> Note:
    """Return what an output says of itself; its items are not read.

    Raises:
        StoreError: the file is torn, damaged, or no output of a shard.
    """
    require_parquet()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            metadata, items = table.metadata.metadata or {}, table.metadata.num_rows
        text = metadata[_NOTE]
        if hashlib.sha256(text).hexdigest() != metadata[_NOTE_SHA256].decode():
            raise StoreError(f"{path} is damaged: its note is not what was written.")
        note = json.loads(text)
        if note["version"] != VERSION:
            raise StoreError(f"{path} has version {note['version']}, this vlm4rec-edge reads {VERSION}.")
        if note["items"] != items:
            raise StoreError(f"{path} is damaged: it has {items} items, {note['items']} were written.")
        return Note(
            note["rows"],
            note["made_by"],
            ShardMaking.of(note),
            items,
            tuple(Failure(where, stage, reason) for where, stage, reason in note["failures"]),
            note["sha256"],
            note["package"],
            note["notes"],
        )
    except StoreError:
        raise
    except Exception as error:  # pyarrow has its own hierarchy, and a foreign file may hold anything
        raise StoreError(f"{path} is torn, or no output of a shard ({_said(error)}); run its shard again.") from error


def read_output(path: Path, note: Note) -> Generator[Batch]:
    """Yield the items of an output, with their vectors [n, dimensions], float32, in batches.

    Raises:
        StoreError: it is damaged, which may show at its end only.
    """
    require_parquet()
    from pyarrow import parquet

    kind = check_encoded_text(note.making.making.encoded_text)
    digest = hashlib.sha256()
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as table:
            for batch in table.iter_batches(batch_size=BATCH_ITEMS):
                vectors = _matrix(batch.column("vector"), note.making.making.dimensions)
                own = _photo_vectors(batch)
                told = batch.drop_columns([name for name in ("vector", "photo_vector") if name in batch.schema.names])
                entries = [_entry(row, kind, vector) for row, vector in zip(told.to_pylist(), own, strict=True)]
                _update(digest, entries, vectors)
                yield entries, vectors
    except Exception as error:  # as above: a damaged page shows only when it is unpacked
        raise _damaged(path, error) from error
    if digest.hexdigest() != note.sha256:
        raise StoreError(f"{path} is damaged: its items are not what was written; {_REMEDY}.")


def attributes_in(path: Path) -> list[str]:
    """Return the names of the attributes that the items of an output have, in the order in which they come.

    No other column is read, and whether the file is what was written is not checked: ``read_output`` does that.

    Raises:
        StoreError: it is damaged.
    """
    require_parquet()
    from pyarrow import parquet

    names: dict[str, None] = {}
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as table:
            for batch in table.iter_batches(batch_size=BATCH_ITEMS, columns=["attributes"]):
                names |= dict.fromkeys(batch.column("attributes").keys.unique().to_pylist())
    except Exception as error:  # as above
        raise _damaged(path, error) from error
    return list(names)


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path} is damaged ({_said(error)}); {_REMEDY}.")


def _schema(pyarrow: Any, dimensions: int, with_photo_vectors: bool) -> Any:
    text, numbers = pyarrow.string(), pyarrow.float32()
    said = {"image": text, "image_sha256": text, "caption_key": text, "question": text, "caption": text, "fields": text}
    own = {"photo_vector": pyarrow.list_(numbers)} if with_photo_vectors else {}
    return pyarrow.schema(
        {
            "id": text,
            "title": text,
            "attributes": pyarrow.map_(text, text),
            **said,
            "photos": pyarrow.list_(pyarrow.struct({**said, **own})),
            "vector": pyarrow.list_(numbers, dimensions),
            **own,
        }
    )


_SAID: Sequence[str] = ("image_sha256", "caption_key", "question", "caption", "fields")


def _said_of(photo: GroundedPhoto) -> dict[str, Any]:
    return {"image": uri_of(photo.image), **{name: getattr(photo, name) for name in _SAID}}


def _record(entry: GroundedItem) -> dict[str, Any]:
    first, *more = entry.photos
    told = {"id": entry.item.id, "title": entry.item.title, "attributes": list(entry.item.attributes.items())}
    return {**told, **_said_of(first), "photos": [_said_of(photo) for photo in more]}


def _update(digest: Any, entries: Sequence[GroundedItem], vectors: np.ndarray) -> None:
    """Add a batch to the sha256 of an output."""
    digest.update(json.dumps([[*_record(entry).values()] for entry in entries], ensure_ascii=False).encode("utf-8"))
    digest.update(np.ascontiguousarray(vectors, "<f4").tobytes())
    for entry in entries:
        for photo in entry.photos:
            if photo.vector is not None:
                digest.update(np.ascontiguousarray(photo.vector, "<f4").tobytes())


def _table(pyarrow: Any, schema: Any, entries: Sequence[GroundedItem], vectors: np.ndarray) -> Any:
    records = [_record(entry) for entry in entries]
    if "photo_vector" in schema.names:
        for record, entry in zip(records, entries, strict=True):
            first, *more = (photo.vector for photo in entry.photos)
            record["photo_vector"] = first
            for photo, vector in zip(record["photos"], more, strict=True):
                photo["photo_vector"] = vector
    columns = [name for name in schema.names if name != "vector"]
    arrays = {name: pyarrow.array([record[name] for record in records], schema.field(name).type) for name in columns}
    flat = pyarrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1), pyarrow.float32())
    arrays["vector"] = pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pyarrow.table([arrays[name] for name in schema.names], schema=schema)


def _matrix(column: Any, dimensions: int) -> np.ndarray:
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(column), dimensions)


def _photo_vectors(batch: Any) -> Iterator[np.ndarray | None]:
    if "photo_vector" not in batch.schema.names:
        return iter([None] * batch.num_rows)
    return (_vector(value.values.to_numpy() if value.is_valid else None) for value in batch.column("photo_vector"))


def _vector(values: Any) -> np.ndarray | None:
    return None if values is None else np.array(values, np.float32)


def _entry(row: dict[str, Any], kind: EncodedText, vector: np.ndarray | None) -> GroundedItem:
    photos = [_photo(row, vector), *(_photo(one, _vector(one.get("photo_vector"))) for one in row["photos"])]
    item = Item(row["id"], photos[0].image, row["title"], dict(row["attributes"]))
    return grounded_item(item, photos, kind)


def _photo(row: dict[str, Any], vector: np.ndarray | None) -> GroundedPhoto:
    said = {name: row[name] for name in _SAID}
    return GroundedPhoto(path_of_uri(row["image"]), **said, vector=vector)


def _said(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
