"""One thing done to an index, under its lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.indexing.repair import RepairReport


def repaired(folder: Path, *, encoder: Encoder | None = None) -> RepairReport:
    """Repair an index."""
    with IndexFolder(folder) as index:
        return index.repair(encoder=encoder)


def removed(folder: Path, item_ids: Sequence[str]) -> tuple[str, ...]:
    """Remove items, and return the ids that the index did not hold."""
    with IndexFolder(folder) as index:
        return index.remove(item_ids).unknown
