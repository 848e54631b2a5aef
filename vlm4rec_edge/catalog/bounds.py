"""What a photo file may cost to open and to decode: bounds on everything that its width and height do not tell.

A file within the size of a photo can keep a decoder busy for hours: by a million empty segments, by a scan of a
progressive JPEG repeated a hundred thousand times, by a TIFF tag of fifty million numbers. Each bound lies far above
what cameras and editors write.
"""

from __future__ import annotations

import io
import re
import struct

from vlm4rec_edge.errors import PhotoError

# Reads until a picture's header is known, and reads in all. A decoder takes a few hundred of each; the most that a real
# file needs are 4 for each 8 KB of a large PNG.
_HEADER_READS, _READS = 20_000, 1_000_000
# Bytes of metadata that come in pieces, before the picture; decoders join them at quadratic cost. Depth maps in phone
# photos have some MB.
_HEADER_BYTES = 16 * 1024 * 1024
_PIECE = 64 * 1024

# A progressive JPEG has some 10 scans. libjpeg takes about 1 ns a pixel for even an empty one.
_SCANS, _SCANNED_PIXELS = 1000, 5_000_000_000
_SEGMENTS = 100_000
# Any JPEG marker but stuffing, fill bytes and restarts (ITU-T T.81, table B.1).
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01

# Numbers in one TIFF tag: a picture of 65,536 rows in strips of one row has as many offsets.
_TAG_VALUES = 200_000
_TAGS = 4096
# Types that stay bytes, however many there are: BYTE, ASCII, UNDEFINED.
_BYTE_TYPES = frozenset({1, 2, 7})


class BoundedStream(io.BytesIO):
    """The bytes of a photo, for a decoder that may take no more steps than a photo needs.

    Call ``header_is_read`` when the decoder knows the picture's size and is about to read the picture itself.
    """

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self._name = name
        self._reads, self._most_reads = 0, _HEADER_READS
        self._piece_bytes = 0
        self._in_header = True

    def header_is_read(self) -> None:
        """Allow the reads that pixels need."""
        self._most_reads, self._in_header = _READS, False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as ``io.BytesIO`` does.

        Raises:
            PhotoError: the file makes its decoder read more often than any photo does.
        """
        self._reads += 1
        if self._in_header and size is not None and 0 < size <= _PIECE:
            self._piece_bytes += size
        if self._reads > self._most_reads or self._piece_bytes > _HEADER_BYTES:
            raise PhotoError(f"{self._name} has far more metadata or parts than a photo; save it again without them.")
        return super().read(size)


def check_jpeg_scans(content: bytes, pixels: int, name: str) -> None:
    """Refuse a JPEG whose many scans would take minutes.

    Raises:
        PhotoError: it has more scans or segments than any real photo.
    """
    most = min(_SCANS, max(_SCANNED_PIXELS // max(pixels, 1), 1))
    at, scans = 2, 0
    for _ in range(_SEGMENTS):
        marker = _MARKER.search(content, at)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            return
        code, at = marker[1][0], marker.end()
        scans += code == _START_OF_SCAN
        if scans > most:
            raise PhotoError(f"{name} has more than {most} scans, which take too long to decode; save it again.")
        if code not in {_START_OF_IMAGE, _TEMPORARY}:
            at += int.from_bytes(content[at : at + 2], "big")
    raise PhotoError(f"{name} has more than {_SEGMENTS:,} segments; save it again without its metadata.")


def check_tiff_tags(content: bytes, name: str) -> None:
    """Refuse a TIFF, or a block of EXIF (a TIFF without picture), whose first directory would not fit in memory.

    Raises:
        PhotoError: a tag claims more numbers than any real photo's.
    """
    order = "<" if content[:2] == b"II" else ">"
    # BigTIFF (version 43) has 64-bit counts and offsets: https://www.awaresystems.be/imaging/tiff/bigtiff.html
    is_big = 43 in content[2:4]
    first, number, entry = ("Q", "Q", "HHQ8x") if is_big else ("I", "H", "HHI4x")
    entry = order + entry
    try:
        (start,) = struct.unpack_from(order + first, content, 8 if is_big else 4)
        (tags,) = struct.unpack_from(order + number, content, start)
        start += struct.calcsize(number)
        claimed = 0
        for place in range(min(tags, _TAGS)):
            tag, kind, values = struct.unpack_from(entry, content, start + place * struct.calcsize(entry))
            claimed += values
            if kind not in _BYTE_TYPES and values > _TAG_VALUES:
                raise PhotoError(f"{name} claims {values:,} numbers in its tag {tag}; save it again.")
    except struct.error:
        return  # cut off; the decoder says so
    if tags > _TAGS or claimed > len(content):
        raise PhotoError(f"{name} has tags that claim more than it holds; save it again.")
