"""Small pictures of the items: of the photos that an index notes, and of those that a bundle carries; kept in memory."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.serve.errors import HttpError
from vlm4rec_edge.serve.following import ServedIndex
from vlm4rec_edge.serve.operations import SIZES

# About 4,000 pictures of 320 pixels.
_KEPT_BYTES = 64 << 20
_QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """A JPEG file, and a text that is another one when the photo is."""

    content: bytes
    tag: str


class Thumbnails:
    """Makes and keeps small pictures. Safe to use from several threads.

    A client names an item, never a file. Of an index the file is the one that the index notes for it, and what is sent is
    always decoded and encoded again as a JPEG, so nothing but pictures can leave; of a bundle it is what the bundle carries.
    Of a table there is none: what it notes may be files of another machine.
    """

    def __init__(self, served: ServedIndex) -> None:
        self._served = served
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def picture(self, item: str, size: int, number: int, known_tag: str = "") -> Picture:
        """Return the picture of an item; its content is empty where the client has it already, under ``known_tag``.

        Raises:
            HttpError: there is no such item, or no photo of it.
            MissingDependencyError: Pillow is not installed.
        """
        shop = self._served.shop()
        found = shop.listed([item])
        if not found:
            raise HttpError(404, "UnknownItemError", f"The index holds no item {item!r}.")
        if self._served.is_shipped:
            content = shop.thumbnail(item) if number == 1 else None
            if content is None:
                raise HttpError(
                    404,
                    "PhotoError",
                    f"There is no picture of {item!r} here; a bundle carries pictures with bundle --thumbnails 320.",
                )
            return Picture(content, hashlib.sha256(content).hexdigest()[:16])
        photos = [photo.image for photo in found[0].photos] or [found[0].image]
        if number > len(photos) or not photos[number - 1]:
            raise HttpError(404, "PhotoError", f"The item {item!r} has no photo {number}.")
        return self._reduced(Path(photos[number - 1]), next(step for step in SIZES if step >= size), item, known_tag)

    def _reduced(self, path: Path, side: int, item: str, known_tag: str) -> Picture:
        try:
            status = path.stat()
        except (OSError, ValueError):
            raise HttpError(404, "PhotoError", f"The photo of {item!r} is no longer where it was.") from None
        name = f"{path} {status.st_mtime_ns} {status.st_size} {side}"
        tag = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        if tag == known_tag:
            return Picture(b"", tag)
        with self._lock:
            if (content := self._kept.get(tag)) is not None:
                self._kept.move_to_end(tag)
                return Picture(content, tag)
        content = _jpeg(path, side, item)
        with self._lock:
            if tag not in self._kept:
                self._kept[tag] = content
                self._bytes += len(content)
            while self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return Picture(content, tag)


def _jpeg(path: Path, side: int, item: str) -> bytes:
    try:
        pixels = decode_photo(read_photo_file(path), f"The photo of {item!r}", max_side=side)
    except PhotoError:  # whose sentence may name a folder of this machine
        raise HttpError(404, "PhotoError", f"The photo of {item!r} cannot be read; index the catalog again.") from None
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
