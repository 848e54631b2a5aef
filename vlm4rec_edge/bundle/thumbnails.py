"""Small pictures of the items in a bundle, for a screen beside the recommendations."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from vlm4rec_edge.bundle.manifest import THUMBNAILS
from vlm4rec_edge.bundle.output import BundleOutput
from vlm4rec_edge.bundle.sections import Section, file_size, section_of, written
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.errors import PhotoError

# A picture of 160 pixels takes 3 to 5 KB; no artefact is seen at that size.
_JPEG_QUALITY = 80
_BLOCK = 1 << 20


def add_thumbnails(output: BundleOutput, photos: Iterable[tuple[str, str]], pixels: int) -> list[str]:
    """Write a JPEG of each photo, its longer side ``pixels``, and return the ids of those that cannot be read.

    Args:
        output: The bundle.
        photos: Item id and path of each item's photo, in the order of the items.
        pixels: Longer side of a picture; a smaller photo is left at its size.
    """
    lengths, without = [], []
    with tempfile.TemporaryFile() as pictures:  # their lengths stand before them in the file
        for item_id, path in photos:
            picture = _thumbnail(Path(path), pixels)
            pictures.write(picture)
            lengths.append(len(picture))
            if not picture:
                without.append(item_id)
        sizes = np.array(lengths, dtype="<u4")
        sections = (section_of("lengths", sizes), Section("jpeg", "|u1", pictures.tell()))
        output.add(THUMBNAILS, file_size(sections), written([[sizes], _blocks(pictures)]), sections)
    return without


def _thumbnail(path: Path, pixels: int) -> bytes:
    from PIL import Image

    try:
        picture = Image.fromarray(decode_photo(read_photo_file(path), str(path), max_side=pixels))
    except PhotoError:
        return b""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


def _blocks(stream: IO[bytes]) -> Iterator[np.ndarray]:
    stream.seek(0)
    while block := stream.read(_BLOCK):
        yield np.frombuffer(block, np.uint8)
