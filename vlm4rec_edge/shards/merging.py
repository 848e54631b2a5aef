"""Make one index, or one table, of the outputs of all shards: the same that one run on the whole catalog makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from vlm4rec_edge.atomic import remove
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.given import Place, is_table_address, path_of
from vlm4rec_edge.index import open_backend, refresh
from vlm4rec_edge.items import Failure
from vlm4rec_edge.shards.output import read_output
from vlm4rec_edge.shards.reading import Outputs, read_outputs
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.lock import WriterLock
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import StoreWriter

# Items written in one transaction: every one forces some files to disk, and touches pages all over the database.
_TRANSACTION_ITEMS = 16_384
_FAILURES_REPORTED = 1000


@dataclass(frozen=True)
class MergeReport:
    """What was merged.

    Attributes:
        index: The index, or the address of the table.
        items: How many items it holds.
        shards: How many shards went into it.
        missing: Numbers of those that were not done.
        failures: What of the catalog could not be used, the first ones; all of it is in the index (a table holds none).
        failed: How much that is.
        seconds: How long it took.
    """

    index: Place
    items: int
    shards: int
    missing: tuple[int, ...]
    failures: tuple[Failure, ...]
    failed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``shard merge --json`` prints."""
        return {
            "index": str(self.index),
            "items": self.items,
            "shards": self.shards,
            "missing": list(self.missing),
            "failures": [asdict(failure) for failure in self.failures],
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
        }


def merge_shards(
    folder: Path | str,
    out: Place,
    *,
    partial: bool = False,
    index_backend: str | None = None,
    on_items: Callable[[int], None] | None = None,
) -> MergeReport:
    """Make an index of the outputs of all shards, whole or not at all; ``index`` on the catalog then captions nothing again.

    Or a LanceDB table, which replaces one that is there.

    Args:
        folder: What ``plan_shards`` made.
        out: The index folder, which must not be there yet, or the address of a table: ``lancedb://shop.lancedb``.
        partial: Whether shards may be missing.
        index_backend: What searches the index above 20,000 vectors, as for ``IndexFolder.update``.
        on_items: Called with how many items are written.

    Raises:
        StoreError: shards are missing, one is damaged or made by other models, or the index cannot be written.
        UsageError: there is something at ``out`` already, or a back end is given for a table.
        MissingDependencyError: a table is to be written, and lancedb is not installed.
    """
    started = monotonic()
    if is_table_address(out):
        if index_backend is not None:
            raise UsageError("A LanceDB table is searched by LanceDB itself; leave out the index back end.")
        from vlm4rec_edge.shards.table import write_shards_to_table

        found = read_outputs(folder, partial=partial)
        items = write_shards_to_table(found, out, on_items)
        failures = list(found.failures())
        first = tuple(failures[:_FAILURES_REPORTED])
        return MergeReport(out, items, len(found.files), found.missing, first, len(failures), monotonic() - started)
    index = path_of(out, "An index")
    if index.exists():
        raise UsageError(f"{index} is there already; remove it, or give another name.")
    if index_backend is not None:
        open_backend(index_backend)  # whether it can be used is known before the work
    found = read_outputs(folder, partial=partial)
    with _new_index(index) as part:
        items, failed, first = _write(found, part, index_backend, on_items)
        with StoreReader(part) as store:
            refresh(store)
    return MergeReport(index, items, len(found.files), found.missing, first, failed, monotonic() - started)


@contextmanager
def _new_index(index: Path) -> Iterator[Path]:
    """Yield the folder that becomes the index when the block ends well; what a killed merge left in it is removed.

    Its name is always the same, so that nothing of a killed one stays for ever, and a lock keeps a second merge out of it.
    """
    part, lock_folder = index.with_name(f"{index.name}.merging"), index.with_name(f"{index.name}.merging.lock")
    try:
        lock_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{index} cannot be made ({error.strerror}); choose another place.") from error
    lock = WriterLock(lock_folder)
    try:
        remove(part)
        yield part
        if index.exists():
            raise StoreError(f"{index} was made by another program meanwhile; give another name.")
        part.rename(index)
    finally:
        remove(part)
        lock.release()
        remove(lock_folder)


def _write(
    found: Outputs, part: Path, index_backend: str | None, on_items: Callable[[int], None] | None
) -> tuple[int, int, tuple[Failure, ...]]:
    """Write all items and failures into a new store; return how many items, how many failures, and the first of these."""
    items = failed = 0
    first: list[Failure] = []
    with StoreWriter(part) as store:
        store.begin_run(found.making.making)
        for entries, vectors in _large_batches(found):
            fresh = set(store.without_vector([entry.text for entry in entries]))
            by_text = {
                entry.text: vector for entry, vector in zip(entries, vectors, strict=True) if entry.text in fresh
            }
            store.write(entries, by_text)
            items += len(entries)
            if on_items is not None:
                on_items(items)
        for _, _, note in found.files:
            store.write_failures(note.failures)
            failed += len(note.failures)
            first += note.failures[: _FAILURES_REPORTED - len(first)]
        store.note(**_notes(found, index_backend))
        store.end_run()
        if (count := store.count_all()) != items:
            raise StoreError(
                f"The shards hold {items:,} items and only {count:,} different ids; plan the catalog into a new folder."
            )
    return items, failed, tuple(first)


def _large_batches(found: Outputs) -> Iterator[tuple[list[GroundedItem], list[Any]]]:
    """Yield the items of all shards, with the vector of each, so many at a time as are written in one transaction."""
    entries: list[GroundedItem] = []
    vectors: list[Any] = []
    for _, path, note in found.files:
        for batch, matrix in read_output(path, note):
            entries += batch
            vectors += list(matrix)
            if len(entries) >= _TRANSACTION_ITEMS:
                yield entries, vectors
                entries, vectors = [], []
    if entries:
        yield entries, vectors


def _notes(found: Outputs, index_backend: str | None) -> dict[str, str]:
    """Return the notes of an index: those of the last shard that has some, how columns were named, and the back end."""
    notes: dict[str, str] = {}
    for _, _, note in found.files:
        notes |= note.notes
    if found.plan.named is not None:
        notes["catalog_columns"] = json.dumps(dict(found.plan.named))
    return notes | ({} if index_backend is None else {"index_backend": index_backend})
