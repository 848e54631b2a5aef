"""Write a table: whole, in one commit; and items of it, replaced or removed, beside other writers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.index import EXACT_LIMIT
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.lance.columns import (
    ID,
    VECTOR,
    arrow_package,
    attribute_column,
    attribute_fields,
    attributes_of,
    number_column,
    rows_of_items,
    schema_of,
)
from vlm4rec_edge.lance.conditions import quoted
from vlm4rec_edge.lance.database import NEED, TABLE, committed, connect, explained, open_table, table_if_there
from vlm4rec_edge.lance.notes import TableNotes, notes_of, written_of
from vlm4rec_edge.lance.search import partitions_of
from vlm4rec_edge.optional import optional

Batches = Iterable[tuple[Sequence[StoredItem], np.ndarray]]
# Files of versions that are so old are removed: no reader takes longer to turn to a newer one.
_KEPT_VERSIONS = timedelta(days=1)
# Ids in one condition of a removal; all of one call that fit are removed in one commit.
_IDS = 10_000


def write_table(
    address: str, batches: Batches, notes: TableNotes, attributes: Sequence[str], *, exact_limit: int = EXACT_LIMIT
) -> int:
    """Write a table, whole or not at all, and return how many items it holds. A table of ours that is there is replaced.

    Who reads the one that was there goes on with it, and sees the new one when he opens or reloads it. The items are one
    commit; then follow the indexes, without which a table answers more slowly, and never otherwise. Memory stays flat.

    Args:
        address: As ``database_of`` reads it.
        batches: Items and their vectors [n, dimensions], float32, unit length. An id comes once.
        notes: What made them.
        attributes: The names of all attributes that items have.
        exact_limit: Up to so many items get no vector index.

    Raises:
        UsageError: it is no address, a table lies there that is not ours, or an item has another attribute.
        StoreError: the table cannot be written.
        MissingDependencyError: lancedb is not installed.
    """
    database = connect(address)
    schema = schema_of(notes, attributes)
    rows = _Rows(batches, schema, attributes)
    mode = _mode(address)
    try:
        with explained(address):
            stream = arrow_package().RecordBatchReader.from_batches(schema, rows)
            table = database.create_table(TABLE, data=stream, schema=schema, mode=mode)
    except StoreError:
        if rows.error is not None:  # which LanceDB has told in its own words
            raise rows.error from None
        raise
    finish(address, table, exact_limit=exact_limit)
    with explained(address):
        return int(table.count_rows())


class _Rows:
    """Arrow batches of items, and the error that ended them."""

    def __init__(self, batches: Batches, schema: Any, attributes: Sequence[str]) -> None:
        self._batches, self._schema, self._attributes = batches, schema, attributes
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            for items, vectors in self._batches:
                yield rows_of_items(items, vectors, self._schema, self._attributes)
        except Exception as error:
            self.error = error
            raise


def _mode(address: str) -> str:
    """Return how the table is to be made: anew, or in place of one of ours.

    Raises:
        UsageError: one lies there that is not ours.
    """
    table = table_if_there(address)
    if table is None:
        return "create"
    if not written_of(table.schema.metadata):
        raise UsageError(
            f"The database {address} has a table {TABLE!r} that was not written by vlm4rec-edge; give another address."
        )
    return "overwrite"


def finish(address: str, table: Any = None, *, exact_limit: int = EXACT_LIMIT) -> None:
    """Compact a table, index what is not indexed yet, and forget versions that nobody reads any more.

    For who has changed many items; a table is right without it, and slower the more was changed.

    Raises:
        StoreError: there is no table, or it cannot be written.
    """
    table = open_table(address) if table is None else table
    committed(address, table, lambda: table.optimize(cleanup_older_than=_KEPT_VERSIONS))
    with explained(address):
        indexed = {column.strip("`") for index in table.list_indices() for column in index.columns}
        rows = int(table.count_rows())
    kinds = optional("lancedb.index", NEED, "lancedb")
    for column in _filter_columns(address, table):
        if column not in indexed:
            committed(address, table, partial(table.create_index, column, config=kinds.BTree()))
    if VECTOR not in indexed and rows > exact_limit:
        # A byte a value is exact enough to choose candidates by; a product quantizer takes a hundred times as long to make.
        how = kinds.IvfSq(distance_type="cosine", num_partitions=partitions_of(rows))
        committed(address, table, partial(table.create_index, VECTOR, config=how))


def _filter_columns(address: str, table: Any) -> list[str]:
    """Return the columns that filters compare: ids, attributes, and their numbers where any text is one."""
    with explained(address):
        attributes = attributes_of(table.schema.names)
        numbers = list(map(number_column, attributes))
        held = [column for column in numbers if table.count_rows(f"`{column}` IS NOT NULL")]
    return [ID, *map(attribute_column, attributes), *held]


def upsert_items(address: str, items: Sequence[StoredItem], vectors: np.ndarray, *, space: str) -> None:
    """Add items to a table, or replace those of the same ids, in one commit.

    Several may do this at once; who comes second tries again. ``finish`` compacts what many calls have left.

    Args:
        address: As in ``write_table``.
        items: Each id once.
        vectors: [n, dimensions], float32, unit length.
        space: The fingerprint of the space of the vectors, ``ItemSource.space``.

    Raises:
        StoreError: there is no table, its vectors are of another space, or it cannot be written.
        UsageError: an id comes twice, or the vectors have another shape.
    """
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        twice = next(item_id for item_id in ids if ids.count(item_id) > 1)
        raise UsageError(f"The item {twice!r} comes with a duplicate id; give each item once.")
    table = open_table(address)
    names = list(dict.fromkeys(name for item in items for name in item.attributes))

    def act() -> None:
        if notes_of(table.schema.metadata, address).space != space:
            raise StoreError(
                f"The vectors of {address} are of another encoder, or it learned something else from purchases, so these "
                "cannot be compared with them; export the whole index again."
            )
        known = attributes_of(table.schema.names)
        if new := [name for name in names if name not in known]:
            table.add_columns([field for name in new for field in attribute_fields(name)])
        rows = rows_of_items(items, vectors, table.schema, attributes_of(table.schema.names))
        # Through an index of ids, LanceDB would not see that two have added one item at once.
        merge = table.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all().use_index(False)
        merge.execute(arrow_package().Table.from_batches([rows]))

    committed(address, table, act)


def remove_items(address: str, ids: Iterable[str]) -> int:
    """Remove items from a table, and return how many there were; ids that it does not hold are passed over.

    Raises:
        StoreError: there is no table, or it cannot be written.
    """
    table = open_table(address)
    wanted, removed = list(dict.fromkeys(ids)), 0
    for start in range(0, len(wanted), _IDS):
        condition = f"{ID} IN ({', '.join(map(quoted, wanted[start : start + _IDS]))})"
        removed += int(committed(address, table, partial(table.delete, condition)).num_deleted_rows)
    return removed
