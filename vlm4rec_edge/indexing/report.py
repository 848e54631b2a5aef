"""What a run reports: its progress, and at its end what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.encoding.text import CountsTitles
from vlm4rec_edge.items import Failure
from vlm4rec_edge.store.reader import StoreReader


@dataclass
class IndexProgress:
    """How far a run is; given to the progress callback after every change, and part of the report.

    ``done`` counts items and failures of items; ``captioned``, ``encoded``: new captions and vectors; ``reused``: photos whose
    caption was there already, from an earlier run or from this one, made for the same photo. ``failed`` counts failures, those
    of single photos of items that have others among them. ``photo_vectors``: photos that got a vector of their own.
    """

    done: int = 0
    captioned: int = 0
    reused: int = 0
    encoded: int = 0
    failed: int = 0
    photo_vectors: int = 0


OnProgress = Callable[[IndexProgress], None]


@dataclass(frozen=True)
class IndexReport(CountsTitles):
    """What a run did. ``failures`` holds the first ones; all are in the store. Times are in seconds.

    ``removed`` items, ``removed_ids``, were pruned. ``not_removed`` are the ids that would have been, but are too many to be
    removed unasked; ``IndexFolder.remove`` takes them.
    ``fetched`` photos came from web addresses.
    ``unread`` parts of the catalog, folders or rows, could not be read; as items may be in them, nothing was pruned then.
    ``batch`` photos were captioned together, for which ``kv_bytes`` of KV memory were held; both are 0 where the captioner
    was not needed or reports none. ``tower`` encoded the photos: ``onnx-fp32`` or ``onnx-int8`` (ONNX Runtime), ``onnx-bf16``
    (OpenVINO), ``mtmd`` (llama.cpp's own); empty as those are 0. ``added`` and ``replaced`` are ids, which
    ``IndexFolder.add`` reports; after an interrupt what was replaced is not reported.
    ``encoded_text`` is what the index encodes, such as ``weighted:0.9``; ``without_title`` of its items have no title, and are
    known by their captions. ``learned``: what was learned from purchases counts as well.
    """

    folder: Path
    progress: IndexProgress
    items: int
    removed: int
    seconds: float
    interrupted: bool
    failures: tuple[Failure, ...]
    unread: int = 0
    batch: int = 0
    kv_bytes: int = 0
    tower: str = ""
    removed_ids: tuple[str, ...] = ()
    not_removed: tuple[str, ...] = ()
    fetched: int = 0
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    encoded_text: str = ""
    without_title: int = 0
    learned: bool = False

    def all_failures(self) -> list[Failure]:
        """Return every failure of the last run, from the store."""
        with StoreReader(self.folder) as store:
            return list(store.failures())

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``index --json`` prints."""
        done = self.progress
        return {
            "index": str(self.folder),
            "items": self.items,
            "captioned": done.captioned,
            "reused": done.reused,
            "encoded": done.encoded,
            "failed": done.failed,
            "fetched": self.fetched,
            "removed": self.removed,
            "removed_ids": list(self.removed_ids),
            "not_removed": list(self.not_removed),
            "unread": self.unread,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "failures": [asdict(failure) for failure in self.all_failures()],
            "batch": self.batch,
            "kv_bytes": self.kv_bytes,
            "tower": self.tower,
            "added": list(self.added),
            "replaced": list(self.replaced),
            "encoded_text": self.encoded_text,
            "without_title": self.without_title,
            "learned": self.learned,
            "photo_vectors": done.photo_vectors,
        }
