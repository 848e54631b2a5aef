"""Items removed by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.items import item_ids
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.store.reader import StoreReader


@dataclass(frozen=True)
class RemoveReport:
    """How many items were removed, and the ids that the index did not hold.

    ``hint`` says what one of those may have been meant for, or where all ids are listed.
    """

    folder: Path
    removed: int
    unknown: tuple[str, ...]
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``remove --json`` prints."""
        return {"index": str(self.folder), "removed": self.removed, "unknown": list(self.unknown)}


def remove_items(access: FolderAccess, ids: Iterable[Any]) -> RemoveReport:
    """Remove items; see ``IndexFolder.remove``."""
    wanted = list(dict.fromkeys(item_ids(ids, "Items to remove")))
    with access.writing() as store:
        unknown, hint = store.remove(wanted), ""
        if unknown:
            with StoreReader(access.folder) as read:
                known = KnownIds(read)
                found = known.look_up(unknown)
                store.remove(list(found.rows))
                unknown, hint = found.unknown, known.hint(found.unknown) if found.unknown else ""
    return RemoveReport(access.folder, len(wanted) - len(unknown), tuple(unknown), hint)
