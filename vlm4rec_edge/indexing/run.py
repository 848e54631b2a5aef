"""One run: the items of a catalog become captions, vectors and rows of a store, a window at a time."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path

from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.encoding.golden import check_golden, golden_of
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import EncodedText
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.grounding.answers import tower_of, working_memory
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.indexing.grounding import Grounding
from vlm4rec_edge.indexing.remembered import place_of
from vlm4rec_edge.indexing.report import IndexReport, OnProgress
from vlm4rec_edge.indexing.window import Window
from vlm4rec_edge.provenance import made_by, photo_vectors_by
from vlm4rec_edge.store.making import Making
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import StoreWriter

# Below this a run would only fail later, with work lost.
_FREE_BYTES_NEEDED = 64 * 1024 * 1024
# A run that would remove more than this share of an index, and more than so many items, is more likely to have been given
# half a catalog than to be meant.
_PRUNED_SHARE = 0.1
_PRUNED_ITEMS = 20


def index_catalog(
    store: StoreWriter,
    catalog: Catalog,
    *,
    captioner: Captioner | None,
    encoder: Encoder,
    encoded_text: EncodedText,
    prune: bool = False,
    prune_anyway: bool = False,
    on_progress: OnProgress | None = None,
) -> IndexReport:
    """Caption, encode and store every item of a catalog; see ``IndexFolder.update``."""
    started = time.monotonic()
    working_memory(captioner)  # that it can be told is known before the first photo
    _check_free_space(store.folder)
    items_before = store.count_all()
    window = Window(store, encoder, on_progress)
    grounding = Grounding(catalog, captioner, encoded_text, store, window.progress)
    interrupted = False
    removed: list[str] = []
    not_removed: list[str] = []
    try:
        store.begin_run(_making(store, captioner, encoder, encoded_text))
        with closing(grounding.results()) as results:
            for result in results:
                window.take(result)
                if window.is_due:
                    grounding.let_go(window.flush())
        window.flush()
        batch, kv_bytes = working_memory(captioner)
        if kv_bytes:
            store.note(batch=str(batch), kv_bytes=str(kv_bytes))
        if tower := tower_of(captioner):
            store.note(tower=tower)
        store.compact()  # before it is pruned: should it be a mistake, the next run finds all vectors again
        if prune and not window.unread:
            not_removed = [] if prune_anyway else _too_many(store.unseen(), items_before)
            removed = [] if not_removed else store.prune()
    except KeyboardInterrupt:
        interrupted = True
        window.keep()
    except Exception:
        window.keep()
        raise
    finally:
        store.end_run()
    grounding.tell_missing()
    batch, kv_bytes = working_memory(captioner)
    with StoreReader(store.folder) as read:
        without_title = read.count_without_title()
    return IndexReport(
        folder=store.folder,
        progress=window.progress,
        items=store.count(),
        removed=len(removed),
        seconds=time.monotonic() - started,
        interrupted=interrupted,
        failures=tuple(window.first_failures),
        unread=window.unread,
        batch=batch,
        kv_bytes=kv_bytes,
        tower=tower_of(captioner),
        removed_ids=tuple(removed),
        not_removed=tuple(not_removed),
        encoded_text=encoded_text,
        without_title=without_title,
        learned=bool(store.meta("learned")),
    )


def _too_many(unseen: list[str], items: int) -> list[str]:
    """Return the items to prune, if they are too many of an index of ``items`` to be removed unasked; else none."""
    return unseen if len(unseen) > max(_PRUNED_ITEMS, _PRUNED_SHARE * items) else []


def _making(store: StoreWriter, captioner: Captioner | None, encoder: Encoder, encoded_text: EncodedText) -> Making:
    """Return what makes the captions and vectors of a run.

    Raises:
        StoreError: this machine computes other vectors from the same words than the machine that made the store.
    """
    return Making(
        made_by(captioner) if captioner else None,
        made_by(encoder),
        encoder.dimensions,
        checked_golden(store, encoder),
        encoded_text,
        {"captioner_place": place_of(captioner)} if captioner else {},
        {"encoder_place": place_of(encoder)},
        photo_vectors_by(captioner) if captioner else None,
    )


def checked_golden(store: StoreWriter, encoder: Encoder) -> str:
    """Return the golden vectors of an encoder: those noted in the store, after checking that this encoder reproduces them.

    Raises:
        StoreError: they do not.
    """
    golden = store.meta("golden")
    if golden is None or store.meta("encoder") != made_by(encoder).fingerprint:
        return golden_of(encoder)
    check_golden(golden, encoder, store.folder)
    return golden


def _check_free_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_NEEDED:
        raise StoreError(f"Only {free / 1e6:.0f} MB are free at {folder}; make room or choose another place.")
