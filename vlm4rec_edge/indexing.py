"""The offline half in one run: items of a catalog become captions, vectors and rows of a store, a window at a time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.encoding.checked import encoded
from vlm4rec_edge.encoding.golden import check_golden, golden_of
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import EncodedText, text_of_item
from vlm4rec_edge.errors import PhotoError, StoreError
from vlm4rec_edge.grounding.answers import answers, question_of
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest, caption_key
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.provenance import MadeBy, made_by
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import GroundedItem, StoreWriter

# Items encoded and stored together: what a crash can lose, and what a reader waits for.
_WINDOW_ITEMS = 64
# A slow captioner must not keep finished work in memory for long.
_WINDOW_SECONDS = 5.0
# Items with a known caption that are let past while the captioner is at work, before it is left to finish: enough to keep it
# busy in a catalog of which little is new, and a few MB.
_MOST_PAST = 4096
# Below this a run would only fail later, with work lost.
_FREE_BYTES_NEEDED = 64 * 1024 * 1024
# How many failures a report carries by itself; all of them are in the store.
_FAILURES_REPORTED = 1000

_TWICE = "The id {!r} stands in the catalog more than once; the first is used."


@dataclass
class IndexProgress:
    """How far a run is; given to the progress callback after every change, and part of the report.

    ``done`` counts items and failures; ``captioned``, ``encoded``: new captions and vectors; ``reused``: items whose caption
    was there already, from an earlier run or from an item of this one with the same photo.
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
    was not needed or does not tell. ``added`` and ``replaced`` are ids, which ``IndexFolder.add`` tells; after an interrupt
    what was replaced is not told.
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
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

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
            "removed": self.removed,
            "unread": self.unread,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "failures": [asdict(failure) for failure in self.all_failures()],
            "batch": self.batch,
            "kv_bytes": self.kv_bytes,
            "added": list(self.added),
            "replaced": list(self.replaced),
        }


def index_catalog(
    store: StoreWriter,
    catalog: Catalog,
    *,
    captioner: Captioner | None,
    encoder: Encoder,
    encoded_text: EncodedText,
    prune: bool,
    on_progress: Callable[[IndexProgress], None] | None,
) -> IndexReport:
    """Caption, encode and store every item of a catalog; see ``IndexFolder.update``."""
    started = time.monotonic()
    captions_by = made_by(captioner) if captioner else None
    begin_run(store, captions_by, encoder, encoded_text)
    _check_free_space(store.folder)
    run = _Run(store, encoder, on_progress)
    grounding = _Grounding(catalog, captioner, captions_by, encoded_text, store, run.progress)
    interrupted, removed = False, 0
    try:
        with closing(grounding.results()) as results:
            for result in results:
                run.take(result)
                if run.is_due:
                    grounding.let_go(run.flush())
        run.flush()
        kv_bytes = getattr(captioner, "kv_bytes", 0)
        if kv_bytes:
            store.note(batch=str(getattr(captioner, "batch", 0)), kv_bytes=str(kv_bytes))
        if prune and not run.unread:
            removed = store.prune()
        store.compact()
    except KeyboardInterrupt:
        interrupted = True
        run.flush()
    except Exception:  # what is finished is kept
        run.flush()
        raise
    kv_bytes = getattr(captioner, "kv_bytes", 0)
    return IndexReport(
        store.folder,
        run.progress,
        store.count(),
        removed,
        time.monotonic() - started,
        interrupted,
        tuple(run.first_failures),
        run.unread,
        getattr(captioner, "batch", 0) if kv_bytes else 0,
        kv_bytes,
    )


def begin_run(store: StoreWriter, captions_by: MadeBy | None, encoder: Encoder, encoded_text: EncodedText) -> None:
    """Note in a store what makes its captions and vectors from now on.

    Raises:
        StoreError: this machine computes other vectors from the same words than the machine that made the store.
    """
    store.begin_run(
        captions_by=captions_by,
        vectors_by=made_by(encoder),
        golden=checked_golden(store, encoder),
        dimensions=encoder.dimensions,
        encoded_text=encoded_text,
    )


def checked_golden(store: StoreWriter, encoder: Encoder) -> str:
    """Return the golden vectors of an encoder: those noted in the store, after a look whether they come out here too.

    Raises:
        StoreError: they do not.
    """
    golden = store.golden(made_by(encoder).fingerprint)
    if golden is None:
        return golden_of(encoder)
    check_golden(golden, encoder, store.folder)
    return golden


def _check_free_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_NEEDED:
        raise StoreError(f"Only {free / 1e6:.0f} MB are free at {folder}; make room or choose another place.")


@dataclass
class _Run:
    """The end of the flow: windows of grounded items are encoded and stored, failures noted."""

    store: StoreWriter
    encoder: Encoder
    on_progress: Callable[[IndexProgress], None] | None
    progress: IndexProgress = field(default_factory=IndexProgress)
    window: list[GroundedItem] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    first_failures: list[Failure] = field(default_factory=list)
    unread: int = 0
    flushed_at: float = field(default_factory=time.monotonic)

    def take(self, result: GroundedItem | Failure) -> None:
        if isinstance(result, Failure):
            self.failures.append(result)
            self.unread += isinstance(result, UnreadPart)
            self.first_failures += [result][: _FAILURES_REPORTED - len(self.first_failures)]
            self.progress.failed += 1
        else:
            self.window.append(result)
        self.progress.done += 1
        if self.on_progress is not None:
            self.on_progress(self.progress)

    @property
    def is_due(self) -> bool:
        waiting = max(len(self.window), len(self.failures))
        return waiting >= _WINDOW_ITEMS or time.monotonic() - self.flushed_at > _WINDOW_SECONDS

    def flush(self) -> list[GroundedItem]:
        """Encode and store what is finished, and return it.

        An interrupt in the middle loses nothing: stored once more, it is still the same. Where the encoder fails, the
        captions are stored, and the next run encodes them.
        """
        texts = self.store.without_vector([entry.text for entry in self.window])
        try:
            vectors = dict(zip(texts, encoded(self.encoder, texts), strict=True)) if texts else {}
        except Exception:
            self._write({})
            raise
        return self._write(vectors)

    def _write(self, vectors: Mapping[str, np.ndarray]) -> list[GroundedItem]:
        if self.window:
            counts = self.store.write(self.window, vectors)
            self.progress.captioned += counts.captions
            self.progress.encoded += counts.encoded
        stored, self.window = self.window, []
        if self.failures:
            self.store.write_failures(self.failures)
            self.failures = []
        self.flushed_at = time.monotonic()
        return stored


@dataclass
class _Waiting:
    """An item whose photo is being captioned."""

    item: Item
    image_sha256: str
    question: str


class _Grounding:
    """The beginning of the flow: items with a known caption pass by the captioner, the photos of others go through it."""

    def __init__(
        self,
        catalog: Catalog,
        captioner: Captioner | None,
        captions_by: MadeBy | None,
        encoded_text: EncodedText,
        store: StoreWriter,
        progress: IndexProgress,
    ) -> None:
        self._entries = catalog.read()
        self._captioner = captioner
        self._made_by = captions_by.fingerprint if captions_by else ""
        self._encoded_text: EncodedText = encoded_text
        self._store = store
        self._progress = progress
        self._past: list[GroundedItem | Failure] = []
        # By the key of their caption, which is being made; several items may show the same photo.
        self._waiting: dict[str, list[_Waiting]] = {}
        # Ids that were read and are not stored yet, captions that are made and not stored yet, and ids that failed.
        self._open_ids: set[str] = set()
        self._fresh: dict[str, str] = {}
        self._failed_ids: set[str] = set()

    def results(self) -> Generator[GroundedItem | Failure]:
        """Yield every item of the catalog, grounded, or its failure, as they finish."""
        is_left = True
        while is_left:
            requests = self._requests()
            first = next(requests, None)
            is_left = first is not None or bool(self._past)
            if first is not None:
                assert self._captioner is not None
                with closing(answers(self._captioner, chain([first], requests))) as answered:
                    for answer in answered:
                        yield from self._finished(answer)
                        yield from self._passed()
            yield from self._passed()

    def let_go(self, stored: list[GroundedItem]) -> None:
        """Forget what was only needed until it was stored."""
        for entry in stored:
            self._open_ids.discard(entry.item.id)
            if entry.caption_key:
                self._fresh.pop(entry.caption_key, None)

    def _passed(self) -> Iterator[GroundedItem | Failure]:
        passed, self._past = self._past, []
        yield from passed

    def _requests(self) -> Iterator[CaptionRequest]:
        """Walk on through the catalog; yield what needs a caption, and put aside what does not.

        It ends, to be called again, when much was put aside: the caller can go on with that only then.
        """
        for entry in self._entries:
            if isinstance(entry, Failure):
                self._fail(entry)
            elif self._is_known_twice(entry.id):
                self._fail(Failure(entry.id, "catalog", _TWICE.format(entry.id)))
            elif self._captioner is None:
                self._pass_title(entry)
            elif (request := self._request(entry, self._captioner)) is not None:
                yield request
            if len(self._past) >= (_MOST_PAST if self._waiting else _WINDOW_ITEMS):
                return

    def _is_known_twice(self, item_id: str) -> bool:
        return item_id in self._open_ids or item_id in self._failed_ids or self._store.seen_in_this_run(item_id)

    def _pass_title(self, item: Item) -> None:
        if item.title:
            self._pass(GroundedItem(item, "", None, "", "", item.title))
        else:
            self._fail(Failure(item.id, "encoding", f"The item {item.id!r} has no title to encode."))

    def _request(self, item: Item, captioner: Captioner) -> CaptionRequest | None:
        try:
            photo = read_photo_file(item.image)
        except PhotoError as error:
            self._fail(Failure(item.id, "photo", str(error)))
            return None
        question = question_of(captioner, item)
        key = caption_key(photo, self._made_by, question)
        waiting = _Waiting(item, photo.sha256, question)
        caption = self._fresh.get(key) or self._store.caption(key)
        if caption is not None:
            self._pass(self._grounded(key, waiting, caption, is_new=False))
            return None
        self._open_ids.add(item.id)
        if key in self._waiting:  # another item shows the same photo: one caption serves both
            self._waiting[key].append(waiting)
            return None
        self._waiting[key] = [waiting]
        return CaptionRequest(key, photo, question)

    def _finished(self, result: Captioned | Failure) -> Iterator[GroundedItem | Failure]:
        key = result.where if isinstance(result, Failure) else result.key
        for number, waiting in enumerate(self._waiting.pop(key)):
            if isinstance(result, Failure):
                self._failed_ids.add(waiting.item.id)
                self._open_ids.discard(waiting.item.id)
                yield Failure(waiting.item.id, result.stage, result.reason)
            else:
                self._fresh[key] = result.text
                yield self._grounded(key, waiting, result.text, result.fields, is_new=number == 0)

    def _grounded(
        self, key: str, of: _Waiting, caption: str, fields: str | None = None, *, is_new: bool
    ) -> GroundedItem:
        self._progress.reused += not is_new
        text = text_of_item(self._encoded_text, title=of.item.title, caption=caption)
        return GroundedItem(of.item, of.image_sha256, key, of.question, caption, text, fields if is_new else None)

    def _pass(self, entry: GroundedItem) -> None:
        self._open_ids.add(entry.item.id)
        self._past.append(entry)

    def _fail(self, failure: Failure) -> None:
        self._failed_ids.add(failure.where)
        self._past.append(failure)
