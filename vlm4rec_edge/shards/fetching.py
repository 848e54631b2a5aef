"""Fetch the photos of a shard that its rows name by an address, such as ``s3://bucket/a.jpg``."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from vlm4rec_edge.addresses import address_of, is_stand_in, stand_in
from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.catalog.images import is_web_address
from vlm4rec_edge.catalog.photo import MAX_FILE_BYTES
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.errors import MissingDependencyError, StoreError
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.optional import optional
from vlm4rec_edge.prefetch import prefetch
from vlm4rec_edge.store.grounded import GroundedItem

# Items whose photos are fetched together, while those before them are captioned.
_BLOCK_ITEMS = 64
_AT_ONCE = 8
_FREE_BYTES_NEEDED = 64 * 1024 * 1024
_COPIED_BYTES = 1 << 20


class FetchedPhotos:
    """Fetches the photos of a shard into a folder, a little ahead of who reads its items.

    Addresses of the web are asked as ``index --fetch`` asks them, all others through fsspec. What is there is not fetched
    again, so that a shard that was stopped does not fetch it twice.

    Args:
        folder: Where they go; made when the first one is fetched.
        allow_private: Whether hosts of this machine and of private networks may be asked.
    """

    def __init__(self, folder: Path, *, allow_private: bool = False) -> None:
        self._folder = folder.absolute()
        self._web = WebPhotoCache(self._folder / "web", allow_private=allow_private)
        self._address_of: dict[str, str] = {}

    def entries(self, entries: Iterable[Item | Failure]) -> Iterator[Item | Failure]:
        """Yield the entries of a catalog in their order, with the path of its photo in the place of each address.

        Raises:
            MissingDependencyError: fsspec, or the package that it needs for such an address, is not installed.
            StoreError: the folder cannot be written.
        """
        for block in prefetch(self._fetched, _blocks(entries), threads=1, ahead=2):
            yield from block

    def addressed(self, text: str) -> str:
        """Return a text with the addresses of photos in the place of the paths that they were fetched to."""
        if str(self._folder) in text:
            for path, address in self._address_of.items():
                text = text.replace(path, address)
        return text

    def with_addresses(self, entry: GroundedItem) -> GroundedItem:
        """Return an item whose photos are named as its row names them, not by the paths that they were fetched to."""
        if not self._address_of:
            return entry
        image, *more = (self._named(photo.image) for photo in entry.photos)
        item = replace(entry.item, image=image, more_photos=tuple(more))
        photos = tuple(replace(photo, image=named) for photo, named in zip(entry.more, more, strict=True))
        return replace(entry, item=item, more=photos)

    def _named(self, image: Path) -> Path:
        address = self._address_of.get(str(image))
        return stand_in(address) if address else image

    def _fetched(self, entries: Sequence[Item | Failure]) -> list[Item | Failure]:
        items = [entry for entry in entries if isinstance(entry, Item)]
        wanted = dict.fromkeys(address for item in items for photo in item.photos if (address := address_of(photo)))
        if not wanted:
            return list(entries)
        web = [address for address in wanted if is_web_address(address)]
        self._web.fetch(web)
        others = [address for address in wanted if not is_web_address(address)]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as threads:
            reasons = dict(zip(others, threads.map(self._fetch, others), strict=True))
        reasons |= {address: self._web.failures.get(address, "") for address in web}
        places = {address: self._place(address) for address, reason in reasons.items() if not reason}
        self._address_of.update({str(path): address for address, path in places.items()})
        return [found for entry in entries for found in _with_places(entry, places, reasons)]

    def _place(self, address: str) -> Path:
        if is_web_address(address) and (path := self._web.path_of(address)):
            return path
        name = hashlib.sha256(address.encode()).hexdigest()
        suffix = PurePosixPath(address.partition("?")[0]).suffix.lower()
        return self._folder / "other" / name[:2] / f"{name}{suffix if suffix[1:].isalnum() else ''}"

    def _fetch(self, address: str) -> str:
        """Fetch one photo through fsspec, and return why that was not possible; nothing if it was."""
        path = self._place(address)
        if path.is_file():
            return ""
        opened = _opened(address)
        if isinstance(opened, str):
            return opened
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(path.parent).free
        except OSError as error:
            raise StoreError(f"Photos cannot be written to {self._folder}: {error.strerror or error}.") from error
        if free < _FREE_BYTES_NEEDED:
            raise StoreError(f"Only {free / 1e6:.0f} MB are free at {self._folder}; make room or choose another place.")
        try:
            with atomic_path(path) as part, opened as source, part.open("wb") as target:
                copied = 0
                while block := source.read(_COPIED_BYTES):
                    copied += len(block)
                    if copied > MAX_FILE_BYTES:
                        raise ValueError(f"it has more than the {MAX_FILE_BYTES / 1e6:.0f} MB a photo may have")
                    target.write(block)
        except Exception as error:  # every store has errors of its own
            return f"The image {address} cannot be fetched: {_said(error)}."
        return ""


def _opened(address: str) -> Any:
    """Return a file of fsspec's, to be opened by ``with``, or the sentence on why there is none."""
    fsspec = optional("fsspec", f"Fetching {address} needs fsspec", "fsspec")
    try:
        return fsspec.open(address, "rb")
    except ImportError as error:
        raise MissingDependencyError(f"{address} cannot be fetched: {error}.") from None
    except Exception as error:
        return f"The image {address} cannot be fetched: {_said(error)}."


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):  # whose text is the address again
        return "there is no such file"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _with_places(
    entry: Item | Failure, places: Mapping[str, Path], reasons: Mapping[str, str]
) -> Iterator[Item | Failure]:
    """Yield an item with those of its photos that came, and a failure for each other one, or for the item if none came."""
    if isinstance(entry, Failure):
        yield entry
        return
    found = [(photo, places.get(address_of(photo), photo)) for photo in entry.photos]
    there = [place for _, place in found if not is_stand_in(place)]
    missing = [reasons[address_of(photo)] for photo, place in found if is_stand_in(place)]
    if not there:
        yield Failure(entry.id, "photo", " ".join(missing))
        return
    yield replace(entry, image=there[0], more_photos=tuple(there[1:]))
    for photo, place in found:
        if is_stand_in(place):  # under its address, because the item is not what failed
            reason = f"{reasons[address_of(photo)]} The other photos of {entry.id!r} are used."
            yield Failure(address_of(photo), "photo", reason)


def _blocks(entries: Iterable[Item | Failure]) -> Iterator[list[Item | Failure]]:
    source = iter(entries)
    while block := list(islice(source, _BLOCK_ITEMS)):
        yield block
