"""Photos without their end, as broken downloads leave them: used where nearly all of the picture is there."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import PhotoError, Vlm4RecWarning

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_DATA, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IDAT", b"IEND"
# What decoders put where values are missing: libjpeg the middle grey, Pillow zeros.
JPEG_FILL = 128
# A few lost lines change no caption; with more, it would describe a grey area.
_MOST_MISSING = 0.05


def is_cut(content: bytes) -> bool:
    """Whether a JPEG or PNG file has no end; photos of other formats are never taken without it."""
    if content.startswith(_JPEG):
        return not content.endswith(_JPEG_END) and content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    return content.startswith(_PNG) and content.rfind(_PNG_END) < content.rfind(_PNG_DATA)


def tell_cut(photo: Path | str) -> None:
    """Warn that a photo without its end was used."""
    warnings.warn(f"{photo} is cut off at its end; what is there was used.", Vlm4RecWarning, stacklevel=2)


def with_end(content: bytes) -> bytes:
    """Return a JPEG without its end with one, so that libjpeg decodes what is there."""
    return content + _JPEG_END if content.startswith(_JPEG) else content


def check_missing(missing: float, name: str) -> None:
    """Refuse a photo of which too much is missing.

    Args:
        missing: The part of its picture that is not there, from 0 to 1.
        name: How an error calls the photo.

    Raises:
        PhotoError: it is more than a twentieth.
    """
    if missing > _MOST_MISSING:
        raise PhotoError(f"{name} is damaged or truncated: {missing:.0%} of its picture is missing; copy it again.")


def grey_at_the_end(pixels: np.ndarray) -> float:
    """Return the part of a picture, [height, width, 3], that libjpeg filled for lack of data, from 0 to 1."""
    is_fill = (pixels == JPEG_FILL).all(axis=2)
    # Blocks are decoded row by row, so what is missing reaches to the right edge, down to the last row.
    rows = int(np.argmin(is_fill[::-1, -1])) if not is_fill[:, -1].all() else len(is_fill)
    return float(is_fill[len(is_fill) - rows :].sum() / is_fill.size)
