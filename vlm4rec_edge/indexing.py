"""The offline half in one run: catalog to captions to vectors to store to index, going on where it stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.encoding.text import EncodedText, check_encoded_text, text_of_item
from vlm4rec_edge.errors import ModelError, PhotoError, StoreError
from vlm4rec_edge.grounding.base import BaseCaptioner
from vlm4rec_edge.grounding.imported import ImportedCaptions
from vlm4rec_edge.grounding.request import CaptionRequest
from vlm4rec_edge.index import refresh
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import GroundedItem, StoreWriter

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.encoder import Encoder

# Items stored in one transaction: what a crash can lose, and what a reader waits for.
_BATCH_ITEMS = 64
# A slow captioner must not keep finished work in memory for long.
_BATCH_SECONDS = 5.0
# Below this a run would only fail later, with work lost.
_FREE_BYTES_NEEDED = 64 * 1024 * 1024

_TWICE = "The id {!r} stands in the catalog more than once; the first is used."


@dataclass
class IndexProgress:
    """How far a run is; given to the progress callback after every change, and part of the report.

    ``done`` counts items stored and failures; ``captioned``, ``encoded``: new captions and vectors; ``reused``: items
    whose caption was there already, from an earlier run or from an item of this one with the same photo.
    """

    done: int = 0
    captioned: int = 0
    reused: int = 0
    encoded: int = 0
    failed: int = 0


@dataclass(frozen=True)
class IndexReport:
    """What a run did. ``failures`` holds the first ones; all are in the store. Times are in seconds.

    ``unread`` parts of the catalog, folders or rows, could not be read; as items may stand there, nothing was pruned then.
    ``batch`` photos were captioned together, for which ``kv_bytes`` of KV memory were held; both are 0 where the captioner
    was not needed.
    """

    progress: IndexProgress
    items: int
    removed: int
    seconds: float
    interrupted: bool
    failures: tuple[Failure, ...]
    unread: int = 0
    batch: int = 0
    kv_bytes: int = 0


def build_index(
    catalog: Path | str | Catalog,
    out: Path | str,
    *,
    captioner: BaseCaptioner | ImportedCaptions | None = None,
    encoder: Encoder | None = None,
    encoded_text: EncodedText = "caption",
    prune: bool = False,
    on_progress: Callable[[IndexProgress], None] | None = None,
) -> IndexReport:
    """Caption, encode and store every item of a catalog; what is there already is not done again.

    Ctrl-C stops the run cleanly: what is finished is stored, and the report says ``interrupted``.

    Args:
        catalog: A folder of photos, a table, or an opened catalog.
        out: The index folder; made or brought up to date.
        captioner: Default: the embedded vision-language model, in a process of its own. ``ImportedCaptions`` takes captions
            from a table instead. Not used when only titles are encoded.
        encoder: Default: the embedded encoder.
        encoded_text: ``caption``, ``title`` or ``title_caption``.
        prune: Remove items that the catalog no longer has; not if a part of it could not be read.
        on_progress: Called in this thread.

    Raises:
        CatalogError, ModelError, DeviceError, StoreError, UsageError: something that stops every item; raised before
            the first photo wherever it can be known. A single bad item is in the report instead.
    """
    check_encoded_text(encoded_text)
    opened = catalog if isinstance(catalog, Catalog) else open_catalog(catalog)
    own: list[BaseCaptioner | Encoder] = []
    try:
        if encoded_text == "title":
            captioner = None
        elif captioner is None:
            from vlm4rec_edge.grounding.isolated import IsolatedCaptioner
            from vlm4rec_edge.models.resolve import resolve_lvlm

            captioner = IsolatedCaptioner(resolve_lvlm())
            own.append(captioner)
        if captioner is not None and opened.columns is not None:
            captioner.check_columns(opened.columns)
        if encoder is None:
            from vlm4rec_edge.encoding.encoder import Encoder
            from vlm4rec_edge.models.resolve import resolve_encoder

            encoder = Encoder(resolve_encoder())
            own.append(encoder)
        folder = Path(out)
        with StoreWriter(
            folder,
            grounding=(captioner.fingerprint, captioner.provenance) if captioner else None,
            encoder=encoder,
            encoded_text=encoded_text,
        ) as store:
            _check_free_space(folder)
            return _Run(opened, store, captioner, encoded_text, on_progress).run(prune=prune)
    finally:
        for model in own:
            model.close()


def _check_free_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_NEEDED:
        raise StoreError(f"Only {free / 1e6:.0f} MB are free at {folder}; make room or choose another place.")


@dataclass
class _Pending:
    """An item between its photo and its caption."""

    item: Item
    image_sha256: str
    caption_key: str
    question: str


@dataclass
class _Run:
    catalog: Catalog
    store: StoreWriter
    captioner: BaseCaptioner | ImportedCaptions | None
    encoded_text: EncodedText
    on_progress: Callable[[IndexProgress], None] | None
    progress: IndexProgress = field(default_factory=IndexProgress)
    ready: list[GroundedItem] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    first_failures: list[Failure] = field(default_factory=list)
    failed_ids: set[str] = field(default_factory=set)
    unread: int = 0
    pending: dict[str, _Pending] = field(default_factory=dict)
    # Photos whose caption is being made right now, and the items that wait for the same one.
    twins: dict[str, list[_Pending]] = field(default_factory=dict)
    # Captions that are made but not stored yet, by key.
    fresh: dict[str, str] = field(default_factory=dict)
    stored_at: float = 0.0

    # How many failures a report carries by itself; all of them are in the store.
    _FAILURES_REPORTED = 1000

    def run(self, *, prune: bool) -> IndexReport:
        started = self.stored_at = time.monotonic()
        interrupted = False
        removed = 0
        try:
            self._ground_everything()
            self._flush()
            if self.captioner and self.captioner.kv_bytes:
                self.store.note(batch=str(self.captioner.batch), kv_bytes=str(self.captioner.kv_bytes))
            if prune and not self.unread:
                removed = self.store.prune()
            self.store.compact()
        except KeyboardInterrupt:
            interrupted = True
            self._flush()
        except ModelError:  # it may say so late, of a photo that no child outlives
            self._flush()
            raise
        with StoreReader(self.store.folder) as reader:
            refresh(reader)
            items = reader.count()
        seconds = time.monotonic() - started
        kv_bytes = self.captioner.kv_bytes if self.captioner else 0
        batch = self.captioner.batch if self.captioner and kv_bytes else 0
        failures = tuple(self.first_failures)
        return IndexReport(self.progress, items, removed, seconds, interrupted, failures, self.unread, batch, kv_bytes)

    def _ground_everything(self) -> None:
        if self.captioner is None:
            for _ in self._requests():
                pass
            return
        captions = self.captioner.caption(self._requests())
        try:
            for result in captions:
                if isinstance(result, Failure):
                    for pending in self._take(result.where):
                        self._fail(Failure(pending.item.id, result.stage, result.reason))
                else:
                    first, *twins = self._take(result.key)
                    self.fresh[result.key] = result.text
                    self._add(first, result.text, result.fields)
                    for twin in twins:
                        self._reuse(twin, result.text)
        finally:
            captions.close()  # type: ignore[union-attr]  # it is a generator: stop its threads before the store closes

    def _take(self, caption_key: str) -> list[_Pending]:
        taken = self.twins.pop(caption_key)
        for pending in taken:
            del self.pending[pending.item.id]
        return taken

    def _requests(self) -> Iterator[CaptionRequest]:
        """Walk the catalog; yield what needs a caption, and store on the way what does not."""
        for entry in self.catalog.read():
            if isinstance(entry, Failure):
                self._fail(entry)
            elif entry.id in self.pending or self._is_known_twice(entry.id):
                self._fail(Failure(entry.id, "catalog", _TWICE.format(entry.id)))
            elif self.captioner is None:
                self._add_title(entry)
            else:
                request = self._request(entry)
                if request is not None:
                    yield request

    def _is_known_twice(self, item_id: str) -> bool:
        if item_id in self.failed_ids or any(ready.item.id == item_id for ready in self.ready):
            return True
        return self.store.seen_in_this_run(item_id)

    def _request(self, item: Item) -> CaptionRequest | None:
        assert self.captioner is not None
        try:
            photo = read_photo_file(item.image)
        except PhotoError as error:
            self._fail(Failure(item.id, "photo", str(error)))
            return None
        question = self.captioner.question(item)
        key = self.captioner.caption_key(photo, question)
        pending = _Pending(item, photo.sha256, key, question)
        caption = self.fresh.get(key) or self.store.caption(key)
        if caption is not None:
            self._reuse(pending, caption)
            return None
        self.pending[item.id] = pending
        if key in self.twins:  # another item shows the same photo: one caption serves both
            self.twins[key].append(pending)
            return None
        self.twins[key] = [pending]
        return CaptionRequest(key, photo, question)

    def _add_title(self, item: Item) -> None:
        if not item.title:
            self._fail(Failure(item.id, "encoding", f"The item {item.id!r} has no title to encode."))
        else:
            self._store_soon(GroundedItem(item, "", None, "", "", item.title))

    def _add(self, pending: _Pending, caption: str, fields: str | None) -> None:
        text = text_of_item(self.encoded_text, title=pending.item.title, caption=caption)
        key, question = pending.caption_key, pending.question
        self._store_soon(GroundedItem(pending.item, pending.image_sha256, key, question, caption, text, fields))

    def _reuse(self, pending: _Pending, caption: str) -> None:
        self.progress.reused += 1
        self._add(pending, caption, None)  # the caption, with its fields, is stored already, or is about to be

    def _fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.failed_ids.add(failure.where)
        self.unread += isinstance(failure, UnreadPart)
        if len(self.first_failures) < self._FAILURES_REPORTED:
            self.first_failures.append(failure)
        self.progress.failed += 1
        self._advance()
        if len(self.failures) >= _BATCH_ITEMS:
            self._flush()

    def _store_soon(self, entry: GroundedItem) -> None:
        self.ready.append(entry)
        if len(self.ready) >= _BATCH_ITEMS or time.monotonic() - self.stored_at > _BATCH_SECONDS:
            self._flush()
        self._advance()

    def _flush(self) -> None:
        """Store what is finished. An interrupt in the middle loses nothing: stored once more, it is still the same."""
        if self.ready:
            counts = self.store.write(self.ready)
            self.ready = []
            self.fresh = {}
            self.progress.captioned += counts.captions
            self.progress.encoded += counts.encoded
        if self.failures:
            failures, self.failures = self.failures, []
            self.store.write_failures(failures)
        self.stored_at = time.monotonic()

    def _advance(self) -> None:
        self.progress.done += 1
        if self.on_progress is not None:
            self.on_progress(self.progress)


def failures_of(folder: Path | str) -> Sequence[Failure]:
    """Return everything the last run on an index could not use."""
    with StoreReader(folder) as reader:
        return list(reader.failures())
