"""What a file is by its first bytes: a photo that is read, a picture of a format that is not, or something else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.optional import optional

# What a shop's folder may hold. Formats that Pillow hands to other programs or that run code (EPS) stay out. AVIF and HEIF
# are read where Pillow, or its plug-in, can.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".mpo"}
)

_FIRST_BYTES = 64
_STARTS: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"8BPS": "Photoshop",
}
# Sizes of the header that follows a BMP's first 14 bytes; "BM" alone begins many a text.
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
# Brands of ISO/IEC 23008-12 (HEIF) and of AVIF, of which a file names several.
_AVIF, _HEIF = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def format_of(path: Path) -> str | None:
    """Return the picture format of a regular file by its first bytes; None if it is no picture, or cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return sniffed(stream.read(_FIRST_BYTES))
    except (OSError, ValueError):
        return None


def sniffed(first: bytes) -> str | None:
    """Return the picture format that a file of these first bytes is in, or None."""
    if first[4:8] == b"ftyp":
        size = min(int.from_bytes(first[:4], "big"), len(first))
        brands = {first[at : at + 4] for at in range(8, size, 4)}
        return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else None
    if first[:4] == b"RIFF":
        return "WEBP" if first[8:12] == b"WEBP" else None
    if first[:2] == b"BM":
        return "BMP" if int.from_bytes(first[14:18], "little") in _BMP_HEADERS else None
    return next((form for start, form in _STARTS.items() if first.startswith(start)), None)


def unread_format(form: str, name: Path | str) -> str | None:
    """Return a sentence on why a picture of this format cannot be read here, and what to do; None if it can."""
    if form not in FORMATS:
        return f"{name} is a {form} picture, which is not supported; save it as JPEG or PNG."
    if form in readable_formats():
        return None
    if form == "HEIF":
        return f'{name} is a HEIF photo (.heic): pip install "vlm4rec-edge[heif]", or save it as JPEG.'
    return (
        f"{name} is an {form} photo, which this Pillow does not read: pip install --upgrade pillow, or save it as JPEG."
    )


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of ``FORMATS`` that the installed Pillow reads, with its plug-in for HEIF if that is installed.

    Without Pillow none can be read, which is reported when a photo is decoded: all of them then.
    """
    try:
        from PIL import Image
    except ImportError:
        return FORMATS
    with suppress(MissingDependencyError):
        optional("pillow_heif", "Reading HEIF photos needs pillow-heif", "heif").register_heif_opener()
    Image.init()  # WebP, TIFF and AVIF load late
    return tuple(form for form in FORMATS if form in Image.OPEN)
