"""Which encoding a text table is in: UTF-8, UTF-16 as spreadsheets save it, or Windows-1252."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

# As Python calls them; utf-8-sig takes a byte-order mark away where there is one.
UTF_8, WINDOWS = "utf-8-sig", "cp1252"
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 4096
# Letters of Western languages have a zero byte in UTF-16; a table is mostly these.
_ZEROS = 0.4
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
# No text has these control characters; a photo or an archive does.
_BINARY = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file, as Python calls it.

    A byte-order mark decides; else every second byte being zero means UTF-16; else it is UTF-8, and Windows-1252 only where
    no character beyond ASCII is UTF-8, so that a damaged row does not change how all others are read.

    Raises:
        OSError: it cannot be read.
    """
    has_other_bytes = False
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as stream:
        sample = stream.read(_SAMPLE_BYTES)
        for mark, name in _MARKS:
            if sample.startswith(mark):
                return name
        for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if sample[offset::2].count(0) > _ZEROS * len(sample) / 2 and not sample[1 - offset :: 2].count(0):
                return name
        stream.seek(0)
        while chunk := stream.read(_CHUNK_BYTES):
            if _BINARY.search(chunk):
                return UTF_8
            text = decoder.decode(chunk)
            if text.removeprefix("\ufeff").isascii():
                continue
            if _BEYOND_ASCII.search(text.removeprefix("\ufeff")):
                return UTF_8
            has_other_bytes = True
    return WINDOWS if has_other_bytes else UTF_8
