"""Write the outputs of all shards as a LanceDB table: the same that ``export`` writes of the merged index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.shards.output import attributes_in
from vlm4rec_edge.shards.reading import Outputs, stored_batches

if TYPE_CHECKING:
    from vlm4rec_edge.lance.notes import TableNotes


def write_shards_to_table(found: Outputs, address: str, on_items: Callable[[int], None] | None = None) -> int:
    """Write a table, whole or not at all, and return how many items it holds; a table of ours that is there is replaced.

    A table must know all attributes before its first row, so their names are read from all outputs first. Memory stays flat.

    Args:
        found: The outputs.
        address: As of ``write_table``.
        on_items: Called with how many items are written.

    Raises:
        UsageError, StoreError, MissingDependencyError: as of ``write_table``; StoreError also where an output is damaged.
    """
    from vlm4rec_edge.lance.writer import write_table

    attributes = dict.fromkeys(name for _, path, _ in found.files for name in attributes_in(path))
    return write_table(address, _told(stored_batches(found), on_items), _notes(found), list(attributes))


def _notes(found: Outputs) -> TableNotes:
    from vlm4rec_edge.lance.notes import TableNotes

    made = found.making.making
    meta = {"encoder": made.vectors_by.fingerprint, "encoded_text": made.encoded_text, "golden": made.golden}
    if made.captions_by:
        meta["grounding"] = made.captions_by.fingerprint
    return TableNotes(
        dimensions=made.dimensions,
        meta=meta,
        space=made.vectors_by.fingerprint,
        groundings=made.captions_by.identity if made.captions_by else {},
        encoders=made.vectors_by.identity,
    )


def _told(
    batches: Iterator[tuple[list[StoredItem], np.ndarray]], on_items: Callable[[int], None] | None
) -> Iterator[tuple[Sequence[StoredItem], np.ndarray]]:
    items = 0
    for batch, vectors in batches:
        yield batch, vectors
        items += len(batch)
        if on_items is not None:
            on_items(items)
