"""Write a bundle or a delta: whole under its name, or not at all; the same content is always the same bytes."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import IO, Protocol

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.bundle.container import is_bundle, open_container
from vlm4rec_edge.bundle.manifest import MANIFEST_NAME, BundleManifest, FileEntry, looks_like_manifest
from vlm4rec_edge.bundle.sections import ALIGNMENT, Section
from vlm4rec_edge.errors import BundleError, UsageError

# No clock and no system in a zip file, or two of the same content would differ. The earliest date that the format knows.
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, 0o100644
# The extra field that other aligned archives (Android's) use to pad a header: id, length, alignment, then zeros.
_PADDING_ID = 0xD935
_PADDING_HEADER = 6
_LOCAL_HEADER = 30
# Above this the zip format writes longer headers; a model's file, which needs no alignment.
_LARGE = 1 << 31


class _Target(Protocol):
    def open(self, name: str, size: int) -> AbstractContextManager[IO[bytes]]: ...


class BundleOutput:
    """Files that are being written; their sizes and sha256 are collected for the manifest."""

    def __init__(self, target: _Target) -> None:
        self._target = target
        self.files: dict[str, FileEntry] = {}

    def add(
        self, name: str, size: int, parts: Iterable[bytes | memoryview], sections: tuple[Section, ...] = ()
    ) -> FileEntry:
        """Write one file of ``size`` bytes and return how the manifest names it."""
        digest, written = hashlib.sha256(), 0
        with self._target.open(name, size) as stream:
            for part in parts:
                stream.write(part)
                digest.update(part)
                written += len(part)
        if written != size:
            raise BundleError(f"{name} became {written} bytes instead of {size}; was it changed meanwhile?")
        self.files[name] = FileEntry(size, digest.hexdigest(), sections)
        return self.files[name]

    def finish(self, manifest: BundleManifest) -> None:
        """Write the manifest, the last file."""
        data = manifest.to_bytes()
        with self._target.open(MANIFEST_NAME, len(data)) as stream:
            stream.write(data)


def size_of(path: Path) -> int:
    """Return the bytes of a bundle or a delta on disk."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def check_output(out: Path) -> None:
    """Look before any work whether ``out`` can be written.

    Raises:
        UsageError: something that is no bundle lies there, or its folder is missing or may not be written.
    """
    try:
        if not out.name or (os.path.lexists(out) and not _may_be_replaced(out)):
            raise UsageError(f"{out} exists already and is not a bundle; give another name.")
        if not out.parent.is_dir():
            raise UsageError(f"The folder {out.parent} does not exist; make it first.")
        if not os.access(out.parent, os.W_OK):
            raise UsageError(f"The folder {out.parent} cannot be written; choose another place.")
    except (OSError, ValueError) as error:
        raise UsageError(f"{out} cannot be written: {getattr(error, 'strerror', None) or error}.") from error


def _may_be_replaced(out: Path) -> bool:
    """Whether a bundle, a delta or what is left of one lies at ``out``: nothing else may be lost."""
    if out.is_symlink():
        return False
    if out.is_dir() and not any(out.iterdir()):
        return True
    if out.is_dir() == _wants_zip(out) or not is_bundle(out):
        return False
    try:
        with closing(open_container(out)) as container:
            return looks_like_manifest(bytes(container.map(MANIFEST_NAME)))
    except BundleError:
        return False


@contextmanager
def bundle_output(out: Path) -> Iterator[BundleOutput]:
    """Give something to write files into; when the block ends well they become ``out``, a zip file if it ends in .zip.

    Raises:
        UsageError: ``out`` cannot be written, as ``check_output`` tells.
        OSError: the disk is full.
    """
    check_output(out)
    with atomic_path(out) as part:
        if _wants_zip(out):
            with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
                yield BundleOutput(_ZipTarget(archive))
        else:
            part.mkdir()
            yield BundleOutput(_FolderTarget(part))


def _wants_zip(out: Path) -> bool:
    return out.suffix.lower() == ".zip"


class _FolderTarget:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, name: str, size: int) -> IO[bytes]:  # noqa: ARG002 (a folder need not know it)
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        return path.open("wb")


class _ZipTarget:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def open(self, name: str, size: int) -> IO[bytes]:
        info = zipfile.ZipInfo(name, _DATE)
        info.create_system, info.external_attr = _UNIX, _MODE << 16
        info.file_size = size
        if size < _LARGE:
            stream = self._archive.fp
            assert stream is not None
            start = stream.tell() + _LOCAL_HEADER + len(name.encode()) + _PADDING_HEADER
            zeros = -start % ALIGNMENT
            info.extra = b"".join(
                number.to_bytes(2, "little") for number in (_PADDING_ID, 2 + zeros, ALIGNMENT)
            ) + bytes(zeros)
        return self._archive.open(info, "w")
