"""One photo file: its bytes and hash, and the RGB picture in it, whatever format and mode it came in."""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError, PhotoError

if TYPE_CHECKING:
    from PIL import Image

# A catalog photo of more than this is a mistake or an attack; a 100-megapixel JPEG stays below it.
MAX_FILE_BYTES = 200 * 1024 * 1024
# Decoded size bound: 100 megapixels are 300 MB of RGB, what a small machine can still hold for a moment.
MAX_PIXELS = 100_000_000
# Vision towers look at 128 to 2,048 pixels; more only costs memory between here and there.
MAX_SIDE = 2048

# What a shop's folder may hold. Formats that Pillow hands to other programs or that run code (EPS) stay out.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class PhotoFile:
    """The bytes of a photo file as they lie on disk, and their sha256 (hex)."""

    content: bytes
    sha256: str


def read_photo_file(path: Path) -> PhotoFile:
    """Read a photo's bytes.

    Raises:
        PhotoError: there is no such file, it is no regular file, it is empty, too large, or not readable.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{path} is not a regular file.")
        if status.st_size == 0:
            raise PhotoError(f"{path} is empty (0 bytes); copy the photo again.")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotoError(
                f"{path} has {status.st_size / 1e6:.0f} MB, more than the {MAX_FILE_BYTES / 1e6:.0f} MB a photo may have."
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte inside the path
        raise PhotoError(f"{path} can not be read: {getattr(error, 'strerror', None) or error}.") from error
    return PhotoFile(content, hashlib.sha256(content).hexdigest())


def decode_photo(photo: PhotoFile, name: str, *, max_side: int = MAX_SIDE) -> np.ndarray:
    """Return the picture as an array of shape [height, width, 3], uint8, RGB, upright.

    The first frame of an animation, 16-bit values scaled to 8, transparency laid on white (the ground that shops
    photograph on), CMYK and palettes converted, the EXIF orientation applied, the longer side at most ``max_side``
    pixels.

    Args:
        photo: What ``read_photo_file`` returned.
        name: How an error calls the photo.
        max_side: Bound of the longer side in pixels; larger pictures are reduced, smaller ones left alone.

    Raises:
        PhotoError: no known image format, truncated or damaged, or more than ``MAX_PIXELS`` pixels.
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError('Reading photos needs Pillow: pip install "vlm4rec-edge[cpu]"') from None

    try:
        # Pillow warns above half of its own bomb limit; ours is checked below, from the header, before any pixel.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()  # the formats below are looked up by name, and WebP and TIFF load late
            with Image.open(io.BytesIO(photo.content), formats=FORMATS) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS:
                    raise PhotoError(
                        f"{name} would unpack to {width} x {height} pixels, more than the {MAX_PIXELS / 1e6:.0f} "
                        "megapixels a photo may have; save it smaller."
                    )
                opened.draft("RGB", (max_side, max_side))  # a large JPEG is decoded at a fraction of its size
                picture = _to_rgb(ImageOps.exif_transpose(opened))
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return np.asarray(picture, dtype=np.uint8)
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(f"{name} is in no format known here ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name} would unpack to too many pixels: {error}") from None
    except Exception as error:  # Pillow's decoders raise nearly every kind of error on damaged files
        raise PhotoError(f"{name} is damaged or truncated ({type(error).__name__}: {error}).") from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode in {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}:
        # Pillow clips these at 255 when it converts, which turns a 16-bit scan white.
        values = np.asarray(picture, dtype=np.float32)
        top = 65535.0 if picture.mode != "F" else max(float(values.max(initial=0.0)), 1.0)
        return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8), "L").convert("RGB")
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        return ground.convert("RGB")
    return picture.convert("RGB")
