"""Write a file or a folder so that it is there whole, on disk, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a free name beside ``path``, for a file or a folder that takes the place of ``path`` when the block ends well.

    What was written is forced to disk first, or a power cut could leave the new name with nothing behind it (fsync(2)). If
    the block raises, what was written is removed and what was there before is left. Two processes may write at the same
    time: the last one's stays.

    Raises:
        OSError: the disk is full, or the name cannot be taken.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    remove(part)
    try:
        yield part
        for file in part.rglob("*") if part.is_dir() else (part,):
            if file.is_file():
                with file.open("r+b") as stream:
                    os.fsync(stream.fileno())
        take_place(part, path)
    except BaseException:
        remove(part)
        raise


def take_place(part: Path, path: Path) -> None:
    """Rename a file or a folder to ``path``. No system swaps two folders in one step, so an old one steps aside for a moment.

    Raises:
        OSError: the name cannot be taken; what was there is there again.
    """
    if not path.is_dir():
        part.replace(path)
        return
    aside = part.with_name(f"{part.name}.old")
    remove(aside)
    path.replace(aside)
    try:
        part.replace(path)
    except OSError:
        aside.replace(path)
        raise
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
