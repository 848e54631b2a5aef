"""Photos inside of a page."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file

_WIDTH, _HEIGHT = 220, 330
_QUALITY = 80


@lru_cache(1024)
def thumbnail(image: Path) -> str:
    """Return a photo, read as a catalog's are, as a data URI of a small JPEG.

    Raises:
        PhotoError: it cannot be read.
    """
    pixels = decode_photo(read_photo_file(image), str(image), max_side=_HEIGHT)
    from PIL import Image

    small = Image.fromarray(pixels)
    small.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
