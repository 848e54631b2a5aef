"""Photos that are small to send and dear to open: bombs, each made for one weakness of a decoder."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

_MB = 1 << 20


def _bytes(form: str, size: tuple[int, int] = (16, 16), mode: str = "RGB", **settings: object) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, form, **settings)
    return stream.getvalue()


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, depth: int = 1, kind: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows, 1)) + png_chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width: int, height: int, *, big: bool = False, tag: int = 273, numbers: int = 1, tags: int = 0) -> bytes:
    """An uncompressed grey TIFF whose ``tag`` holds so many numbers, with so many further tags of one byte block."""
    number = ("<HHQ", "Q", 20) if big else ("<HHI", "I", 12)
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: width}
    start = 16 if big else 8
    after = start + (8 if big else 2) + number[2] * (len(entries) + tags) + (8 if big else 4)
    made = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start)
    made += struct.pack("<Q" if big else "<H", len(entries) + tags)
    for name, value in entries.items():
        count, stored = (numbers, after) if name == tag and numbers > 2 else (1, value)
        made += struct.pack(number[0], name, 4, count) + struct.pack("<" + number[1], stored)
    for name in range(1000, 1000 + tags):
        made += struct.pack(number[0], name, 1, 4 * numbers) + struct.pack("<" + number[1], after)
    return made + bytes(8 if big else 4) + np.full(numbers, 8, "<u4").tobytes()


def _gif(before_the_picture: bytes) -> bytes:
    gif = _bytes("GIF", mode="P")
    at = 13 + (3 << ((gif[10] & 7) + 1)) * (gif[10] >> 7)
    return gif[:at] + before_the_picture + gif[at:]


def _repeated_scan(side: int, size: int) -> bytes:
    jpeg = _bytes("JPEG", (side, side), progressive=True)
    start, end = jpeg.rfind(b"\xff\xda"), jpeg.rfind(b"\xff\xd9")
    scan = jpeg[start:end]
    return jpeg[:end] + scan * (size // len(scan)) + b"\xff\xd9"


def _jpeg(before_the_picture: bytes) -> bytes:
    return b"\xff\xd8" + before_the_picture + _bytes("JPEG")[2:]


@functools.cache
def costly_photos() -> dict[str, Callable[[], bytes]]:
    """Return what makes each. They would take minutes, or gigabytes, in a decoder that does as the file says.

    Sizes are up to 20 MB.
    """
    small = _bytes("PNG")
    exif = b"\xff\xe1\xff\xff" + b"Exif\0\0" + bytes(65535 - 8)
    claims = {"PNG": png(60_000, 60_000, bytes(9000)), "TIFF": tiff(60_000, 60_000)}
    claims["BMP"] = _patched(_bytes("BMP"), 18, struct.pack("<ii", 60_000, 60_000))
    claims["GIF"] = _patched(_bytes("GIF", mode="P"), 6, struct.pack("<HH", 60_000, 60_000))
    claims["GIF frame"] = _gif(b"\x2c" + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x08\x00")
    jpeg = _bytes("JPEG")
    claims["JPEG"] = _patched(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", 60_000, 60_000))
    webp = _bytes("WEBP")
    claims["WebP"] = _patched(webp, webp.index(b"\x9d\x01\x2a") + 3, struct.pack("<HH", 16_000, 16_000))
    return {
        **{f"{form} that claims billions of pixels": partial(bytes, content) for form, content in claims.items()},
        "JPEG with a scan repeated": lambda: _repeated_scan(16, _MB),
        "large JPEG with a scan repeated": lambda: _repeated_scan(4000, _MB),
        "JPEG after fill bytes": lambda: _jpeg(b"\xff" * (20 * _MB)),
        "JPEG after empty segments": lambda: _jpeg(b"\xff\xe0\0\2" * (5 * _MB)),
        "JPEG after pieces of EXIF": lambda: _jpeg(exif * 320),
        "JPEG with segments after the picture's header": lambda: _jpeg(b"").replace(
            b"\xff\xda", b"\xff\xe0\0\2" * _MB + b"\xff\xda"
        ),
        "PNG with empty chunks": lambda: small[:33] + png_chunk(b"abCd") * _MB + small[33:],
        "PNG with chunks after the picture": lambda: small[:-12] + png_chunk(b"abCd") * _MB + small[-12:],
        "PNG with empty parts of its picture": lambda: small[:33] + png_chunk(b"IDAT") * _MB + small[33:],
        "PNG with a text that unpacks": lambda: (
            small[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(99 * _MB))) + small[33:]
        ),
        "PNG with a profile that unpacks": lambda: (
            small[:33] + png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(99 * _MB))) + small[33:]
        ),
        "GIF with a comment without end": lambda: _gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 80_000 + b"\0"),
        "GIF with a million comments": lambda: _gif(b"\x21\xfe\x01a\0" * _MB),
        "TIFF with millions of strips": lambda: tiff(16, 100, numbers=5 * _MB),
        "BigTIFF with millions of strips": lambda: tiff(16, 100, big=True, numbers=5 * _MB),
        "TIFF with millions of bit depths": lambda: tiff(16, 100, tag=258, numbers=5 * _MB),
        "TIFF with tags that share their bytes": lambda: tiff(16, 100, numbers=200_000, tags=3000),
    }


def _patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


@functools.cache
def large_photos() -> dict[str, bytes]:
    """Whole photos at the bound of what is decoded at all: 100 megapixels, WebP 40."""
    side = 10_000
    grey = Image.new("L", (side, side), 99)
    made = {"png rgba": png(side, side, bytes((side * 4 + 1) * side), 8, 6)}
    made["webp"] = _bytes("WEBP", (8000, 5000), "RGBA", lossless=True, method=0)
    stream = io.BytesIO()
    Image.merge("CMYK", [grey] * 4).save(stream, "JPEG", progressive=True)
    made["jpeg cmyk progressive"] = stream.getvalue()
    return made
