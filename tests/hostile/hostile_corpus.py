"""Photo files that mean harm, made from fixed seeds: number N is the same file on every machine with this Pillow."""

from __future__ import annotations

import functools
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SIZE = (40, 28)
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _drawing(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture with edges, gradients and several colours, in any mode."""
    width, height = size
    picture = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize(size) for turn in (0, 90, 180)])
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width // 4, height // 4, width // 2, height - 3), fill=(200, 30, 60), outline="black")
    pen.line((0, 0, width, height), fill="white", width=2)
    if mode in {"I;16", "I", "F"}:
        values = np.asarray(picture.convert("L")).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        return Image.fromarray(values * 257)
    if mode in {"RGBA", "LA"}:
        layer = picture.convert(mode)
        layer.putalpha(Image.linear_gradient("L").resize(size))
        return layer
    return picture.convert(mode)


def _bytes(mode: str, form: str, size: tuple[int, int] = SIZE, frames: int = 1, **settings: object) -> bytes:
    stream = io.BytesIO()
    if frames > 1:
        more = [_drawing(mode, size).rotate(20 * number) for number in range(1, frames)]
        settings |= {"save_all": True, "append_images": more}
    _drawing(mode, size).save(stream, form, **settings)
    return stream.getvalue()


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a made picture"
    return exif


@functools.cache
def valid_photos() -> dict[str, bytes]:
    """Whole photos of every format and mode that a catalog may hold, by a name that says what they are."""
    made = {f"png-{mode}": _bytes(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    made |= {f"jpeg-{mode}": _bytes(mode, "JPEG") for mode in ("L", "RGB", "CMYK")}
    made |= {f"bmp-{mode}": _bytes(mode, "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    made |= {f"webp-{mode}": _bytes(mode, "WEBP") for mode in ("L", "RGB", "RGBA")}
    made |= {f"gif-{mode}": _bytes(mode, "GIF") for mode in ("1", "L", "P", "RGBA")}
    made |= {
        f"tiff-{mode}": _bytes(mode, "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
    }
    squeezes = ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "tiff_adobe_deflate", "lzma", "zstd")
    made |= {f"tiff-{squeeze}": _bytes("RGB", "TIFF", compression=squeeze) for squeeze in squeezes}
    made |= {f"tiff-{squeeze}": _bytes("1", "TIFF", compression=squeeze) for squeeze in ("group3", "group4")}
    made["tiff-pages"] = _bytes("RGB", "TIFF", frames=3, compression="tiff_lzw")
    made["tiff-big"] = _bytes("RGB", "TIFF", big_tiff=True)
    made["tiff-float-deflate"] = _bytes("F", "TIFF", compression="tiff_deflate")
    made["gif-animated"] = _bytes("P", "GIF", frames=4, duration=50, loop=0, disposal=2)
    made["gif-interlaced"] = _bytes("P", "GIF", interlace=1, comment=b"made")
    made["png-animated"] = _bytes("RGBA", "PNG", frames=3)
    made["png-palette-transparent"] = _bytes("P", "PNG", transparency=3)
    made["png-exif"] = _bytes("RGB", "PNG", exif=_turned(6), icc_profile=bytes(range(256)))
    made["webp-animated"] = _bytes("RGBA", "WEBP", frames=3, lossless=True)
    made["webp-lossless"] = _bytes("RGBA", "WEBP", lossless=True)
    made["webp-exif"] = _bytes("RGB", "WEBP", exif=_turned(5), icc_profile=bytes(300), xmp=b"<x/>")
    made["jpeg-exif"] = _bytes("RGB", "JPEG", exif=_turned(6), icc_profile=bytes(300), comment=b"made")
    made["jpeg-progressive"] = _bytes("RGB", "JPEG", size=(150, 120), progressive=True, subsampling=0)
    made["jpeg-restarts"] = _bytes("RGB", "JPEG", restart_marker_blocks=2)
    made["jpeg-of-a-stereo-camera"] = _bytes("RGB", "MPO", frames=2)
    made["tiff-exif"] = _bytes("RGB", "TIFF", exif=_turned(8))
    made["avif-RGB"] = _bytes("RGB", "AVIF")
    return made


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("inside.txt", "not a photo")
    return stream.getvalue()


@functools.cache
def disguises() -> dict[str, bytes]:
    """What is no photo, or a photo and something else at once, under the name it might come by."""
    photos = valid_photos()
    script = b"=1;alert(document.domain)//"
    svg = (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg><script>1</script>&b;</svg>'
    )
    return {
        "page.jpg": b"<!DOCTYPE html><html><script>fetch('http://localhost')</script></html>",
        "drawing.png": svg,
        "drawing.svg.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "paper.jpg": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript>>>>endobj\n%%EOF",
        "postscript.tif": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd)(r)file\nshowpage\n",
        "program.png": b"\x7fELF\x02\x01\x01" + bytes(200),
        "program.gif": b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0",
        "archive.jpg": _zip(),
        "gif-and-script.gif": b"GIF89a/*" + photos["gif-P"][8:] + b"*/" + script,
        "gif-then-script.gif": photos["gif-P"] + script,
        "png-and-zip.png": photos["png-RGB"] + _zip(),
        "jpeg-and-php.jpg": photos["jpeg-RGB"] + b"<?php system($_GET['c']); ?>",
        "jpeg-in-pdf.jpg": b"%PDF-1.4\n" + photos["jpeg-RGB"],
        "webp-in-jpeg.jpg": photos["jpeg-RGB"][:40] + photos["webp-RGB"],
        "png-in-bmp.bmp": b"BM" + photos["png-RGB"],
        "photoshop.tif": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 10, 10, 8, 3) + bytes(40),
        "netpbm.png": b"P6 4 4 255\n" + bytes(48),
        "script.jpg": b"#!/bin/sh\nreboot\n",
        "windows-metafile.bmp": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "icon.bmp": b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0" + bytes(60),
        "text.webp": b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(30),
        "sound.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        "film.gif": b"\0\0\0\x20ftypisom" + bytes(60),
        "heic.jpg": b"\0\0\0\x18ftypheic" + bytes(60),
        "text.tiff": b"II*\0\xff\xff\xff\xff",
        "loop.tiff": b"II*\0\x08\0\0\0\x00\0\x08\0\0\0",
        "pickle.png": b"\x80\x04\x95\x1c\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "zeros.jpg": bytes(500),
        "ones.png": b"\xff" * 500,
    }


def _flip_bits(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _overwrite(content: bytearray, chance: random.Random) -> None:
    start, length = chance.randrange(len(content)), chance.randint(1, 32)
    filler = chance.choice((b"\0", b"\xff", None))
    run = chance.randbytes(length) if filler is None else filler * length
    content[start : start + length] = run[: len(content) - start]


def _truncate(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(1, len(content)) :]


def _cut_out(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content) - 1)
    del content[start : start + chance.randint(1, 64)]


def _repeat(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    content[start:start] = content[start : start + chance.randint(1, 200)] * chance.randint(1, 20)


def _splice(content: bytearray, chance: random.Random) -> None:
    other = chance.choice(list(valid_photos().values()))
    content[chance.randrange(1, len(content)) :] = other[chance.randrange(len(other)) :]


def _extreme_number(content: bytearray, chance: random.Random) -> None:
    """A size, a count or an offset that no decoder expects, mostly in the header."""
    form = chance.choice(("B", "<H", ">H", "<I", ">I"))
    value = chance.choice(_EXTREMES) & (256 ** struct.calcsize(form) - 1)
    end = min(len(content), 160 if chance.random() < 0.8 else len(content)) - struct.calcsize(form)
    struct.pack_into(form, content, chance.randrange(max(end, 1)) if end > 0 else 0, value)


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bits, _overwrite, _truncate, _cut_out, _repeat, _splice, _extreme_number, _extreme_number,
)  # fmt: skip


def _with_right_checksums(content: bytes) -> bytes:
    """Correct the CRC of every PNG chunk, so that damage gets past the first gate."""
    repaired, at = bytearray(content), 8
    while at + 12 <= len(repaired):
        (length,) = struct.unpack_from(">I", repaired, at)
        if at + 12 + length > len(repaired):
            break
        struct.pack_into(">I", repaired, at + 8 + length, zlib.crc32(repaired[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(repaired)


def hostile_photo(number: int) -> tuple[str, bytes]:
    """The name and the bytes of hostile photo ``number``: a valid photo or a disguise, changed in one to three ways."""
    chance = random.Random(number)
    sources = {**valid_photos(), **disguises()}
    names = list(sources)
    # Each source in turn; the disguises, which are refused at once, less often.
    name = names[number % len(valid_photos())] if number % 16 else names[chance.randrange(len(names))]
    content = bytearray(sources[name])
    changes = [chance.choice(_CHANGES) for _ in range(chance.randint(1, 3))]
    for change in changes:
        if len(content) > 8:
            change(content, chance)
    whole = bytes(content) or b"\0"
    if name.startswith("png") and chance.random() < 0.7:
        whole = _with_right_checksums(whole)
    return f"{number} ({name}, {', '.join(change.__name__.strip('_') for change in changes)})", whole
