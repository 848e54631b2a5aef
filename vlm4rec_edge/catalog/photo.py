"""One photo file: its bytes and hash, and the RGB picture in it, whatever format and mode it came in."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import stat
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.catalog.bounds import BoundedStream, check_jpeg_scans, check_tiff_tags
from vlm4rec_edge.catalog.colour import in_srgb
from vlm4rec_edge.catalog.cut import check_missing, grey_at_the_end, is_cut, with_end
from vlm4rec_edge.catalog.formats import FORMATS, readable_formats, sniffed, unread_format
from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.optional import optional

if TYPE_CHECKING:
    from PIL import Image, ImageFile

# A catalog photo of more than this is a mistake or an attack; a 100-megapixel JPEG stays below it.
MAX_FILE_BYTES = 200 * 1024 * 1024
# Decoded size bound: Pillow holds 4 bytes a pixel, 400 MB, what a small machine can still hold for a moment; a
# progressive JPEG takes up to 800 MB. Decoding WebP takes 17 bytes a pixel.
MAX_PIXELS = 100_000_000
MAX_WEBP_PIXELS = 40_000_000
# Vision encoders take 128 to 2,048 pixels; more only costs memory between here and there.
MAX_SIDE = 2048

# Above this, photos are decoded one after another, however many threads decode.
_LARGE_PIXELS = 25_000_000
_one_large_at_a_time = threading.Lock()
# Modes whose profile does not speak of RGB: they are converted by it, all others when they are RGB.
_NOT_RGB = frozenset({"L", "CMYK"})
# What makes a picture of each EXIF orientation upright (Exif 3.0, tag 0x0112); after the reduction, where it is cheap.
_ORIENTATION = 0x0112
_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
# Pixels converted to RGB at a time: a conversion takes up to 20 bytes for each.
_BAND_PIXELS = 1_000_000


@dataclass(frozen=True)
class PhotoFile:
    """The bytes of a photo file as they lie on disk, and their sha256 (hex)."""

    content: bytes
    sha256: str

    @property
    def lacks_end(self) -> bool:
        """Whether it is a JPEG or PNG without its end, which is used if nearly all of its picture is there."""
        return is_cut(self.content)


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
        raise PhotoError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return PhotoFile(content, hashlib.sha256(content).hexdigest())


def decode_photo(photo: PhotoFile, name: str, *, max_side: int = MAX_SIDE) -> np.ndarray:
    """Return the picture as an array of shape [height, width, 3], uint8, RGB, upright.

    The first frame of an animation, 16-bit values scaled to 8, transparency laid on white (the ground that shops
    photograph on), CMYK and palettes converted, the colours of an embedded profile in sRGB, the EXIF orientation applied,
    the longer side at most ``max_side`` pixels. A JPEG or PNG without its end is used if at most a twentieth of its rows is
    missing; a progressive JPEG has all of them, only coarser. What a hostile file may cost is bounded: see
    ``vlm4rec_edge.catalog.bounds``.

    Args:
        photo: What ``read_photo_file`` returned.
        name: How an error calls the photo.
        max_side: Bound of the longer side in pixels; larger pictures are reduced, smaller ones left alone.

    Raises:
        PhotoError: no known image format, truncated or damaged, more than ``MAX_PIXELS`` pixels, or metadata beyond any
            real photo's.
        MissingDependencyError: Pillow is not installed.
    """
    optional("PIL", "Reading photos needs Pillow", "cpu")
    from PIL import Image, UnidentifiedImageError

    _open_pillow()
    try:
        if photo.content[:2] in {b"II", b"MM"}:
            check_tiff_tags(photo.content, name)
        lacks_end = photo.lacks_end
        stream = BoundedStream(with_end(photo.content) if lacks_end else photo.content, name)
        with Image.open(stream, formats=readable_formats()) as opened:
            pixels = opened.width * opened.height
            most = MAX_WEBP_PIXELS if opened.format == "WEBP" else MAX_PIXELS
            if pixels > most:
                raise PhotoError(
                    f"{name} would unpack to {opened.width} x {opened.height} pixels, more than the {most / 1e6:.0f} "
                    "megapixels a photo may have; save it smaller."
                )
            if lacks_end and opened.mode == "CMYK":
                raise PhotoError(f"{name} is damaged or truncated: it has no end; copy it again.")
            if opened.format in {"JPEG", "MPO"}:
                check_jpeg_scans(photo.content, pixels, name)
            stream.header_is_read()
            with _one_large_at_a_time if pixels > _LARGE_PIXELS else nullcontext():
                opened.draft("RGB", (max_side, max_side))  # a large JPEG is decoded at a fraction of its size
                _load(opened, name, lacks_end=lacks_end)
                profile = opened.info.get("icc_profile")
                picture = _to_rgb(opened, max_side, profile)
                picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            if lacks_end and opened.format != "PNG":
                check_missing(grey_at_the_end(np.asarray(picture)), name)
            if opened.mode not in _NOT_RGB:
                picture = in_srgb(picture, profile)
            turn = _TURNS.get(_orientation(opened), np.asarray)
            return np.ascontiguousarray(turn(np.asarray(picture, dtype=np.uint8)))
    except PhotoError:
        raise
    except UnidentifiedImageError:
        form = sniffed(photo.content[:64])
        reason = unread_format(form, name) if form else None
        raise PhotoError(reason or f"{name} is in no format known here ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name} would unpack to too many pixels: {error}") from None
    except Exception as error:  # Pillow's decoders raise nearly every kind of error on damaged files
        raise PhotoError(f"{name} is damaged or truncated ({type(error).__name__}: {error}).") from error


def _load(opened: ImageFile.ImageFile, name: str, *, lacks_end: bool) -> None:
    """Decode a picture; of a PNG without its end what is there.

    Raises:
        PhotoError: too much is missing.
        OSError, SyntaxError: Pillow's, of damaged data.
    """
    try:
        opened.load()
    except OSError:
        if not lacks_end or opened.format != "PNG" or opened.info.get("interlace"):
            raise
        opened.tile = []  # Pillow keeps what it has decoded, and asks no more of the file
        *_, bottom = opened.getbbox(alpha_only=False) or (0, 0, 0, 0)
        check_missing(1 - bottom / opened.height, name)


def _open_pillow() -> None:
    """Load Pillow's formats, and keep them from writing to a user's terminal: what is wrong is in the error."""
    from PIL import _imaging

    # Not with catch_warnings, which threads undo for each other.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logger = logging.getLogger("PIL")
    if logger.handlers:
        return
    logger.addHandler(logging.NullHandler())  # without a handler Python prints errors that are logged
    # libtiff prints every damaged strip. It is a dependency of Pillow's core, through which its symbols are found; where
    # it is linked in (Windows), they are not.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _to_rgb(picture: Image.Image, max_side: int, profile: bytes | None) -> Image.Image:
    """Return a decoded picture in RGB, reduced by a whole number as ``thumbnail`` begins where there is a lot to reduce.

    Band by band: a scan of 100 megapixels in floats or with transparency would otherwise stand in memory five times.
    """
    from PIL import Image

    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    width, height = picture.size
    factor = max(max(width, height) // (2 * max_side), 1)
    rows = max(_BAND_PIXELS // (width * factor), 1) * factor
    bands = [(top, (0, top, width, min(top + rows, height))) for top in range(0, height, rows)]
    # A float picture has no fixed white; its brightest value is taken for white.
    white = max((_brightest(picture.crop(box)) for _, box in bands), default=1.0) if picture.mode == "F" else 65535.0
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top, box in bands:
        result.paste(_band_to_rgb(picture.crop(box), white, profile).reduce(factor), (0, top // factor))
    return result


def _brightest(band: Image.Image) -> float:
    values = np.asarray(band)
    return float(values.max(initial=1.0, where=np.isfinite(values)))


def _band_to_rgb(band: Image.Image, white: float, profile: bytes | None) -> Image.Image:
    from PIL import Image

    if band.mode in {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}:
        # Pillow clips these at 255 when it converts, which turns a 16-bit scan white.
        values = np.nan_to_num(np.asarray(band, dtype=np.float32), posinf=white, neginf=0.0)
        return Image.fromarray(np.clip(values * (255.0 / white), 0, 255).astype(np.uint8), "L").convert("RGB")
    if "A" in band.mode or "a" in band.mode or "transparency" in band.info:
        ground = Image.new("RGBA", band.size, "white")
        ground.alpha_composite(band.convert("RGBA"))
        return ground.convert("RGB")
    return (in_srgb(band, profile) if band.mode in _NOT_RGB else band).convert("RGB")


def _orientation(opened: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; a picture is not lost for the sake of metadata that cannot be read."""
    try:
        check_tiff_tags(opened.info.get("exif", b"").removeprefix(b"Exif\0\0"), "EXIF")
        return int(opened.getexif().get(_ORIENTATION, 1))
    except Exception:  # as above
        return 1
