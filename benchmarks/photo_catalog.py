"""A folder of as many photos as are wanted, made of a few: each file is another one, so that every caption is made anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# So many files lie in one folder; more make some file systems slow.
_FOLDER = 1000


def photo_catalog(folder: Path, photos: Sequence[Path], count: int) -> Path:
    """Write ``count`` photos, those given again and again; what is there already stays.

    A number behind the end of the picture makes each file another one: decoders read to the end of the picture, and a
    caption is looked up by the sha256 of the whole file.
    """
    for number in range(count):
        source = photos[number % len(photos)]
        target = folder / f"{number // _FOLDER:04}" / f"{number:07}{source.suffix.lower()}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes() + f"\n{number}".encode())
    return folder
