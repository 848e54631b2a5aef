"""The beginning of the flow: items with a known caption pass by the captioner, the photos of others go through it."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from vlm4rec_edge.catalog.cut import tell_cut
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.encoding.text import EncodedText, text_of_photos
from vlm4rec_edge.errors import PhotoError, Vlm4RecWarning
from vlm4rec_edge.grounding.answers import answers, question_of
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest, caption_key
from vlm4rec_edge.indexing.report import IndexProgress
from vlm4rec_edge.indexing.window import WINDOW_ITEMS
from vlm4rec_edge.items import Failure, Item, LostPhoto, nfc
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.store.grounded import GroundedItem, GroundedPhoto, grounded_item
from vlm4rec_edge.store.writer import StoreWriter

# Items with a known caption that are let past while the captioner is at work, before it is left to finish: enough to keep it
# busy in a catalog of which little is new, and a few MB.
_MOST_PAST = 4096

_NO_VECTOR = "The photo has a caption, but no vector of its own:"
_TWICE = "Duplicate id {!r}: {} is left out, and an earlier one is used."


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
    known: Captioned | None  # its caption, where only its vector is being made

    @property
    def image(self) -> Path:
        return self.open.item.photos[self.place]


class Grounding:
    """A walk through a catalog that grounds its items, with or without the captioner."""

    def __init__(
        self,
        catalog: Catalog,
        captioner: Captioner | None,
        encoded_text: EncodedText,
        store: StoreWriter,
        progress: IndexProgress,
    ) -> None:
        self._entries = _as_first_written(catalog.read(), store)
        self._captioner = captioner
        self._made_by = made_by(captioner).fingerprint if captioner else ""
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
        self._photo_dimensions = 0

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
        """Warn of photos that are not there, where titles alone are encoded and photos are not opened."""
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
            if len(self._past) >= (_MOST_PAST if self._waiting else WINDOW_ITEMS):
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
            said = self._known(key)
            waiting = _Waiting(entry, place, photo.sha256, question, photo.lacks_end, said)
            if said is not None and (said.vector is not None or not self._store.lacks_photo_vector(photo.sha256)):
                entry.photos[place] = self._grounded(waiting, said, is_new=False)
            elif key in self._waiting:  # another item shows the same photo: one caption serves both
                self._waiting[key].append(waiting)
            else:
                self._waiting[key] = [waiting]
                yield CaptionRequest(key, photo, question, only_vector=said is not None)
        self._past += self._complete(entry)

    def _known(self, key: str) -> Captioned | None:
        """Return a caption that was made before, in this run or in an earlier one."""
        if key in self._fresh:
            return self._fresh[key]
        text = self._store.caption(key)
        return None if text is None else Captioned(key, text)

    def _finished(self, result: Captioned | Failure) -> Iterator[GroundedItem | Failure]:
        key = result.where if isinstance(result, Failure) else result.key
        result = self._of_one_length(result)
        for number, waiting in enumerate(self._waiting.pop(key)):
            entry, known = waiting.open, waiting.known
            if isinstance(result, Failure):
                reason = f"{waiting.image}: {result.reason}" if entry.item.more_photos else result.reason
                if known is not None:  # its caption is as good as before
                    entry.photos[waiting.place] = self._grounded(waiting, known, is_new=False)
                    yield LostPhoto(entry.item.id, result.stage, f"{_NO_VECTOR} {reason}")
                else:
                    entry.failures[waiting.place] = Failure(entry.item.id, result.stage, reason)
            else:
                said = result if known is None else known._replace(vector=result.vector)
                self._fresh[key] = said
                entry.photos[waiting.place] = self._grounded(waiting, said, is_new=number == 0 and known is None)
            yield from self._complete(entry)

    def _of_one_length(self, result: Captioned | Failure) -> Captioned | Failure:
        """Return an answer whose vector, where the run makes some, is as long as all others."""
        if isinstance(result, Failure) or result.vector is None:
            return result
        length = len(result.vector)
        self._photo_dimensions = self._photo_dimensions or self._store.photo_dimensions() or length
        if length == self._photo_dimensions:
            return result
        reason = f"The captioner gave a vector of {length} values for this photo, and of {self._photo_dimensions} for others."
        return Failure(result.key, "grounding", reason)

    def _grounded(self, of: _Waiting, said: Captioned, *, is_new: bool) -> GroundedPhoto:
        self._progress.reused += not is_new
        if of.lacks_end:
            tell_cut(of.image)
        return GroundedPhoto(of.image, of.image_sha256, said.key, of.question, said.text, said.fields, said.vector)

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
        yield grounded_item(item, [entry.photos[place] for place in sorted(entry.photos)], self._encoded_text)

    def _pass(self, entry: GroundedItem) -> None:
        self._open_ids.add(entry.item.id)
        self._past.append(entry)

    def _fail(self, failure: Failure) -> None:
        self._failed_ids.add(failure.where)
        self._past.append(failure)


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


def _is_there(image: Path) -> bool:
    try:
        return image.is_file()
    except (OSError, ValueError):  # a folder that cannot be entered, a name that is too long
        return False
