"""The photos to measure with: some of a folder or drawings, and folders of as many as are wanted, made of a few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

# So many files lie in one folder; more make some file systems slow.
_FOLDER = 1000


def photos_in(work: Path, folder: Path | None, count: int) -> list[Path]:
    """Return photos spread over a folder, or drawings of this project's own."""
    if folder is None:
        from running.drawings import catalog_of_drawings, write_catalog

        folder = work / f"drawings-{count}"
        if not folder.is_dir():
            kinds = len(catalog_of_drawings(1))
            write_catalog(folder, catalog_of_drawings(-(-count // kinds), seed=5)[:count])
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if len(found) < count:
        raise SystemExit(f"{folder} has {len(found)} photos, {count} are needed; ask for fewer with --photo-count.")
    return [found[place] for place in np.linspace(0, len(found) - 1, count, dtype=int)]


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
