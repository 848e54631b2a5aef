"""Is an index whole, and how is it made whole again?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlm4rec_edge.encoding.checked import check_encoder_of, encoded_items
from vlm4rec_edge.encoding.opening import open_encoder
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import check_encoded_text, text_of_photos
from vlm4rec_edge.index.check import check_graph
from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.indexing.run import checked_golden
from vlm4rec_edge.plugins import opened
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.store.check import VerifyReport, check_store
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import StoreWriter

# Texts encoded and stored together.
_ENCODE_TEXTS = 256


@dataclass(frozen=True)
class RepairReport:
    """What was done, and by ``needs_index`` whether the catalog must be indexed again to make what was dropped.

    ``lost_notes``: it is no longer known what made the vectors, so all of them were dropped. ``dropped_photo_vectors`` are
    made again by the next run that makes such; nothing else depends on them.
    """

    folder: Path
    salvaged_database: bool
    dropped_items: int
    dropped_captions: int
    dropped_vectors: int
    encoded: int
    lost_notes: bool = False
    dropped_photo_vectors: int = 0

    @property
    def needs_index(self) -> bool:
        """Whether something was dropped that only the catalog, or its captions, can bring back."""
        return bool(self.salvaged_database or self.dropped_items or self.dropped_captions or self.lost_notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``repair --json`` prints."""
        document = asdict(self)
        return {"index": str(document.pop("folder")), **document}


def verify_index(folder: Path) -> VerifyReport:
    """Check every file; see ``IndexFolder.verify``."""
    report = check_store(folder)
    if report.ok:
        with StoreReader(folder) as store:
            recall, findings = check_graph(store)
        report = replace(report, findings=tuple(findings), hnsw_recall=recall)
    remedy = f"Repair it with: vlm4rec-edge repair {folder}; it says what is left to do."
    return report if report.ok else replace(report, remedy=remedy)


def repair_index(access: FolderAccess, encoder: Encoder | None) -> RepairReport:
    """Make the index whole again; see ``IndexFolder.repair``."""
    with access.writing() as store:
        salvaged = store.salvage()
        dropped = store.drop_damaged()
        encoded = 0 if dropped.notes else _encode_again(store, encoder, rewrite=dropped.vectors > 0)
        if dropped.photo_vectors:
            store.compact_photo_vectors()
        store.mix_anew()
        access.refresh_index(anew=True)
    return RepairReport(
        access.folder,
        salvaged,
        dropped.items,
        dropped.captions,
        dropped.vectors,
        encoded,
        lost_notes=dropped.notes,
        dropped_photo_vectors=dropped.photo_vectors,
    )


def _encode_again(store: StoreWriter, encoder: Encoder | None, *, rewrite: bool) -> int:
    """Encode the items that have no vector; ``rewrite`` the vector file first, if rows of it were forgotten.

    Into a new file, because a reader may still have the old one open. The encoder is recorded again, if that was lost.
    """
    with StoreReader(store.folder, content=True) as read:
        kind = check_encoded_text(read.meta["encoded_text"])
        identity = read.provenance("encoders")
        rewrite = rewrite or read.has_gaps()
    texts = {
        item_id: text_of_photos(kind, title=title, captions=captions)
        for item_id, title, captions in store.items_without_vector()
    }
    if identity and not texts and not rewrite:
        return 0
    with opened(encoder, lambda: open_encoder(identity.get("name"), device="cpu")) as its_encoder:
        check_encoder_of(store.folder, store.meta("encoder"), its_encoder)
        checked_golden(store, its_encoder)
        store.note_encoder(made_by(its_encoder))
        if rewrite:
            store.compact(force=True)
        pending = list(texts)
        for start in range(0, len(pending), _ENCODE_TEXTS):
            part = {item_id: texts[item_id] for item_id in pending[start : start + _ENCODE_TEXTS]}
            new = store.without_vector(list(part.values()))
            store.write_vectors(part, dict(zip(new, encoded_items(its_encoder, new), strict=True)))
    return len(texts)
