"""The rows of a shard: what a catalog yields, an item or what of it cannot be used, as a row of a Parquet file and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from vlm4rec_edge.addresses import path_of_uri, uri_of
from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item, Stage, UnreadPart
from vlm4rec_edge.optional import optional

Row = Mapping[str, Any]
_BATCH_ROWS = 1024


def row_of(entry: Item | Failure) -> Row:
    """Return an entry of a catalog as a row.

    Of an item: ``id``, ``uri`` (the absolute path or the address of its first photo), ``more`` (those of its further
    photos), ``title`` and ``attributes``. Of a failure: ``id`` (an item, or a row of the table), ``stage``, ``reason``, and
    whether a part of the catalog was ``unread``.
    """
    if isinstance(entry, Failure):
        unread = isinstance(entry, UnreadPart)
        return _row(entry.where, stage=entry.stage, reason=entry.reason, unread=unread)
    uri, *more = map(uri_of, entry.photos)
    return _row(entry.id, uri=uri, more=more, title=entry.title, attributes=list(entry.attributes.items()))


def _row(
    name: str,
    *,
    uri: str | None = None,
    more: Sequence[str] = (),
    title: str = "",
    attributes: Sequence[tuple[str, str]] = (),
    stage: str | None = None,
    reason: str | None = None,
    unread: bool = False,
) -> Row:
    told = {"stage": stage, "reason": reason, "unread": unread}
    return {"id": name, "uri": uri, "more": list(more), "title": title, "attributes": list(attributes), **told}


def entry_of(row: Row) -> Item | Failure:
    """Return the entry that was written as a row; an address stands as a path until its photo is fetched."""
    if row["reason"] is not None:
        kind = UnreadPart if row["unread"] else Failure
        stage: Stage = row["stage"] if row["stage"] in get_args(Stage) else "catalog"
        return kind(row["id"], stage, row["reason"])
    image, *more = map(path_of_uri, (row["uri"], *row["more"]))
    return Item(row["id"], image, row["title"], dict(row["attributes"]), tuple(more))


def fingerprint_of(rows: Sequence[Row]) -> str:
    """Return the sha256 (hex) of some rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([*row.values()], ensure_ascii=False).encode("utf-8") + b"\n")
    return digest.hexdigest()


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows of a shard, whole or not at all.

    Raises:
        StoreError: they cannot be written.
        MissingDependencyError: pyarrow is not installed.
    """
    pyarrow = require_parquet()
    from pyarrow import parquet

    text = pyarrow.string()
    schema = pyarrow.schema(
        {
            "id": text,
            "uri": text,
            "more": pyarrow.list_(text),
            "title": text,
            "attributes": pyarrow.map_(text, text),
            "stage": text,
            "reason": text,
            "unread": pyarrow.bool_(),
        }
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            table = pyarrow.Table.from_pylist(list(rows), schema=schema)
            parquet.write_table(table, part, compression="zstd", write_page_checksum=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a shard.

    Raises:
        StoreError: they cannot be read.
        MissingDependencyError: pyarrow is not installed.
    """
    require_parquet()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
    except Exception as error:  # pyarrow has its own hierarchy, and OSError beside it
        raise StoreError(
            f"The rows of a shard, {path}, cannot be read ({error}); run `vlm4rec-edge shard plan` again."
        ) from error


def require_parquet() -> Any:
    """Return pyarrow.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return optional("pyarrow", "Shards are Parquet files, which need pyarrow", "parquet")
