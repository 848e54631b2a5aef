"""The offline half in one run: items of a catalog become captions, vectors and rows of a store, a window at a time."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.catalog.cut import tell_cut
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.golden import check_golden, golden_of
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import EncodedText, text_of_photos
from vlm4rec_edge.errors import PhotoError, StoreError, Vlm4RecWarning
from vlm4rec_edge.grounding.answers import answers, question_of, working_memory
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest, caption_key
from vlm4rec_edge.interrupts import interrupts_ignored
from vlm4rec_edge.items import Failure, Item, LostPhoto, UnreadPart, nfc
from vlm4rec_edge.provenance import MadeBy, made_by
from vlm4rec_edge.remembered import place_of
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import GroundedItem, GroundedPhoto, Making, StoreWriter

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
# A run that would remove more than this share of an index, and more than so many items, is more likely to have been given
# half a catalog than to be meant.
_PRUNED_SHARE = 0.1
_PRUNED_ITEMS = 20

_TWICE = "The id {!r} stands in the catalog more than once; {} is left out, an earlier one is used."


@dataclass
class IndexProgress:
    """How far a run is; given to the progress callback after every change, and part of the report.

    ``done`` counts items and failures of items; ``captioned``, ``encoded``: new captions and vectors; ``reused``: photos whose
    caption was there already, from an earlier run or from this one, made for the same photo. ``failed`` counts failures, those
    of single photos of items that have others among them.
    """

    done: int = 0
    captioned: int = 0
    reused: int = 0
    encoded: int = 0
    failed: int = 0


@dataclass(frozen=True)
class IndexReport:
    """What a run did. ``failures`` holds the first ones; all are in the store. Times are in seconds.

    ``removed`` items, ``removed_ids``, were pruned. ``not_removed`` are the ids that would have been, but are too many to be
    removed unasked; ``IndexFolder.remove`` takes them.
    ``fetched`` photos came from web addresses.
    ``unread`` parts of the catalog, folders or rows, could not be read; as items may stand there, nothing was pruned then.
    ``batch`` photos were captioned together, for which ``kv_bytes`` of KV memory were held; both are 0 where the captioner
    was not needed or does not tell. ``added`` and ``replaced`` are ids, which ``IndexFolder.add`` tells; after an interrupt
    what was replaced is not told.
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
            "added": list(self.added),
            "replaced": list(self.replaced),
            "encoded_text": self.encoded_text,
            "without_title": self.without_title,
            "learned": self.learned,
        }


def index_catalog(
    store: StoreWriter,
    catalog: Catalog,
    *,
    captioner: Captioner | None,
    encoder: Encoder,
    encoded_text: EncodedText,
    prune: bool,
    prune_anyway: bool,
    on_progress: Callable[[IndexProgress], None] | None,
) -> IndexReport:
    """Caption, encode and store every item of a catalog; see ``IndexFolder.update``."""
    started = time.monotonic()
    captions_by = made_by(captioner) if captioner else None
    working_memory(captioner)  # that it can be told is known before the first photo
    _check_free_space(store.folder)
    items_before = store.count_all()
    run = _Run(store, encoder, on_progress)
    grounding = _Grounding(catalog, captioner, captions_by, encoded_text, store, run.progress)
    interrupted = False
    removed: list[str] = []
    not_removed: list[str] = []
    try:
        store.begin_run(_making(store, captioner, captions_by, encoder, encoded_text))
        with closing(grounding.results()) as results:
            for result in results:
                run.take(result)
                if run.is_due:
                    grounding.let_go(run.flush())
        run.flush()
        batch, kv_bytes = working_memory(captioner)
        if kv_bytes:
            store.note(batch=str(batch), kv_bytes=str(kv_bytes))
        store.compact()  # before it is pruned: should it be a mistake, the next run finds all vectors again
        if prune and not run.unread:
            not_removed = [] if prune_anyway else _too_many(store.unseen(), items_before)
            removed = [] if not_removed else store.prune()
    except KeyboardInterrupt:
        interrupted = True
        run.keep()
    except Exception:
        run.keep()
        raise
    finally:
        store.end_run()
    grounding.tell_missing()
    with StoreReader(store.folder) as read:
        without_title = read.count_without_title()
    return IndexReport(
        store.folder,
        run.progress,
        store.count(),
        len(removed),
        time.monotonic() - started,
        interrupted,
        tuple(run.first_failures),
        run.unread,
        *working_memory(captioner),
        tuple(removed),
        tuple(not_removed),
        encoded_text=encoded_text,
        without_title=without_title,
        learned=bool(store.meta("learned")),
    )


def _is_there(image: Path) -> bool:
    try:
        return image.is_file()
    except (OSError, ValueError):  # a folder that cannot be entered, a name that is too long
        return False


def _too_many(unseen: list[str], items: int) -> list[str]:
    """Return the items to prune, if they are too many of an index of ``items`` to be removed unasked; else none."""
    return unseen if len(unseen) > max(_PRUNED_ITEMS, _PRUNED_SHARE * items) else []


def _making(
    store: StoreWriter,
    captioner: Captioner | None,
    captions_by: MadeBy | None,
    encoder: Encoder,
    encoded_text: EncodedText,
) -> Making:
    """Return what makes the captions and vectors of a run.

    Raises:
        StoreError: this machine computes other vectors from the same words than the machine that made the store.
    """
    return Making(
        captions_by,
        made_by(encoder),
        encoder.dimensions,
        checked_golden(store, encoder),
        encoded_text,
        {"captioner_place": place_of(captioner)} if captioner else {},
        {"encoder_place": place_of(encoder)},
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


def _as_first_written(entries: Iterator[Item | Failure], store: StoreWriter) -> Iterator[Item | Failure]:
    """Give ids that differ only in their form of Unicode the one that stands in the store, or came first in the catalog.

    File names unzipped from a Mac and the same names in a table are one item.
    """
    written: dict[str, str] = {}
    for item_id in store.ids():
        if not item_id.isascii():
            written.setdefault(nfc(item_id), item_id)
    for entry in entries:
        if isinstance(entry, Failure):
            yield entry if entry.where.isascii() else replace(entry, where=written.get(nfc(entry.where), entry.where))
        else:
            yield entry if entry.id.isascii() else replace(entry, id=written.setdefault(nfc(entry.id), entry.id))


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
        self.progress.done += not isinstance(result, LostPhoto)
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
            vectors = dict(zip(texts, encoded_items(self.encoder, texts), strict=True)) if texts else {}
        except Exception:
            self._write({})
            raise
        return self._write(vectors)

    def keep(self) -> None:
        """Store what is finished, where the run ends early; without vectors if Ctrl-C is pressed again meanwhile."""
        try:
            self.flush()
        except KeyboardInterrupt:
            with interrupts_ignored():
                self._write({})

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
class _Open:
    """An item some of whose photos are being captioned; ``photos`` are those that are done, by their place."""

    item: Item
    photos: dict[int, GroundedPhoto] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    is_told: bool = False


@dataclass
class _Waiting:
    """A photo that is being captioned, the one at ``place`` of an item."""

    open: _Open
    place: int
    image_sha256: str
    question: str
    lacks_end: bool

    @property
    def image(self) -> Path:
        return self.open.item.photos[self.place]


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
        self._entries = _as_first_written(catalog.read(), store)
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
        self._fresh: dict[str, Captioned] = {}
        self._failed_ids: set[str] = set()
        # Further items of each id that is being captioned: should none of its photos be usable, the next of them is tried.
        self._spare: dict[str, list[Item]] = {}
        self._again: list[Item] = []
        self._missing, self._first_missing = 0, ""

    def results(self) -> Generator[GroundedItem | Failure]:
        """Yield every item of the catalog, grounded, or its failure, as they finish."""
        is_left = True
        while is_left:
            requests = self._requests()
            first = next(requests, None)
            is_left = first is not None or bool(self._past or self._again)
            if first is not None:
                assert self._captioner is not None
                with closing(answers(self._captioner, chain([first], requests))) as answered:
                    for answer in answered:
                        yield from self._finished(answer)
                        yield from self._passed()
            yield from self._passed()

    def tell_missing(self) -> None:
        """Warn of photos that are not there, where titles alone are encoded and nobody opened them."""
        if self._missing:
            warnings.warn(
                f"{self._missing:,} photos that the catalog names are not there, the first {self._first_missing}; the titles "
                "of their items are encoded all the same.",
                Vlm4RecWarning,
                stacklevel=2,
            )

    def let_go(self, stored: list[GroundedItem]) -> None:
        """Forget what was only needed until it was stored."""
        for entry in stored:
            self._open_ids.discard(entry.item.id)
            for photo in entry.photos:
                self._fresh.pop(photo.caption_key or "", None)

    def _passed(self) -> Iterator[GroundedItem | Failure]:
        passed, self._past = self._past, []
        yield from passed

    def _requests(self) -> Iterator[CaptionRequest]:
        """Walk on through the catalog; yield what needs a caption, and put aside what does not.

        It ends, to be called again, when much was put aside: the caller can go on with that only then.
        """
        while (entry := self._again.pop() if self._again else next(self._entries, None)) is not None:
            if isinstance(entry, Failure):
                self._fail(entry)
            elif entry.id in self._spare:
                self._spare[entry.id].append(entry)
            elif self._is_known_twice(entry.id):
                self._leave_out(entry)
            elif self._captioner is None:
                self._pass_title(entry)
            else:
                yield from self._requests_of(entry, self._captioner)
            if len(self._past) >= (_MOST_PAST if self._waiting else _WINDOW_ITEMS):
                return

    def _is_known_twice(self, item_id: str) -> bool:
        if item_id in self._failed_ids:  # the store counts it as seen
            self._failed_ids.discard(item_id)
            return False
        return item_id in self._open_ids or self._store.seen_in_this_run(item_id)

    def _leave_out(self, item: Item) -> None:
        self._past.append(Failure(item.id, "catalog", _TWICE.format(item.id, item.image.name)))

    def _pass_title(self, item: Item) -> None:
        for image in item.photos:
            if not _is_there(image):
                self._missing += 1
                self._first_missing = self._first_missing or str(image)
        if item.title:
            more = tuple(GroundedPhoto(image, "", None, "", "") for image in item.more_photos)
            text = text_of_photos(self._encoded_text, title=item.title, captions=())
            self._pass(GroundedItem(item, "", None, "", "", text, more=more))
        else:
            self._fail(Failure(item.id, "encoding", f"The item {item.id!r} has no title to encode."))

    def _requests_of(self, item: Item, captioner: Captioner) -> Iterator[CaptionRequest]:
        """Yield the photos of an item that need a caption; put the item aside if none does any more."""
        entry, question = _Open(item), question_of(captioner, item)
        self._open_ids.add(item.id)
        self._spare[item.id] = []
        for place, image in enumerate(item.photos):
            try:
                photo = read_photo_file(image)
            except PhotoError as error:
                entry.failures[place] = Failure(item.id, "photo", str(error))
                continue
            key = caption_key(photo, self._made_by, question)
            waiting = _Waiting(entry, place, photo.sha256, question, photo.lacks_end)
            if (said := self._known(key)) is not None:
                entry.photos[place] = self._grounded(waiting, said, is_new=False)
            elif key in self._waiting:  # another item shows the same photo: one caption serves both
                self._waiting[key].append(waiting)
            else:
                self._waiting[key] = [waiting]
                yield CaptionRequest(key, photo, question)
        self._past += self._complete(entry)

    def _known(self, key: str) -> Captioned | None:
        """Return a caption that was made before, in this run or in an earlier one."""
        if key in self._fresh:
            return self._fresh[key]
        text = self._store.caption(key)
        return None if text is None else Captioned(key, text)

    def _finished(self, result: Captioned | Failure) -> Iterator[GroundedItem | Failure]:
        key = result.where if isinstance(result, Failure) else result.key
        for number, waiting in enumerate(self._waiting.pop(key)):
            entry = waiting.open
            if isinstance(result, Failure):
                reason = f"{waiting.image}: {result.reason}" if entry.item.more_photos else result.reason
                entry.failures[waiting.place] = Failure(entry.item.id, result.stage, reason)
            else:
                self._fresh[key] = result
                entry.photos[waiting.place] = self._grounded(waiting, result, is_new=number == 0)
            yield from self._complete(entry)

    def _grounded(self, of: _Waiting, said: Captioned, *, is_new: bool) -> GroundedPhoto:
        self._progress.reused += not is_new
        if of.lacks_end:
            tell_cut(of.image)
        return GroundedPhoto(of.image, of.image_sha256, said.key, of.question, said.text, said.fields)

    def _complete(self, entry: _Open) -> Iterator[GroundedItem | Failure]:
        """Yield an item whose last photo is done, with the photos that can be used, and a failure for each other one."""
        if entry.is_told or len(entry.photos) + len(entry.failures) < len(entry.item.photos):
            return
        entry.is_told = True
        spare = self._spare.pop(entry.item.id)
        item, failures = entry.item, [entry.failures[place] for place in sorted(entry.failures)]
        if not entry.photos:
            self._open_ids.discard(item.id)
            self._failed_ids.add(item.id)
            self._again += reversed(spare)
            *lost, last = failures
            yield from (LostPhoto(failure.where, failure.stage, failure.reason) for failure in lost)
            yield last
            return
        for left in spare:
            self._leave_out(left)
        yield from (LostPhoto(failure.where, failure.stage, failure.reason) for failure in failures)
        first, *more = photos = [entry.photos[place] for place in sorted(entry.photos)]
        text = text_of_photos(self._encoded_text, title=item.title, captions=[photo.caption for photo in photos])
        shown = replace(item, image=first.image, more_photos=tuple(photo.image for photo in more))
        said = first.image_sha256, first.caption_key, first.question, first.caption
        yield GroundedItem(shown, *said, text, first.fields, tuple(more))

    def _pass(self, entry: GroundedItem) -> None:
        self._open_ids.add(entry.item.id)
        self._past.append(entry)

    def _fail(self, failure: Failure) -> None:
        self._failed_ids.add(failure.where)
        self._past.append(failure)
