"""Open a folder or a zip file for reading, without extracting anything and without trusting it.

Every file becomes a memory map; a member of a zip file that is stored, not compressed, is mapped where it lies. What no
bundle has is refused: links, other kinds of files, compressed or encrypted members, names that come twice, members
that overlap, and files that the manifest does not name.

Source of the zip format: PKWARE APPNOTE 6.3.10 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), 4.3.7.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import struct
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from vlm4rec_edge.bundle.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BundleManifest,
    FileEntry,
    parse_manifest,
)
from vlm4rec_edge.errors import BundleError

# Signature, 22 bytes that the directory at the end of the file says as well, and the lengths of name and extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
# A bundle has up to 4 files of its own and a few of each model; a million names would only cost memory.
_MEMBERS = 100
_GET_AGAIN = "get the bundle again."


class Container(Protocol):
    """Named files that can be mapped."""

    path: Path

    def names(self) -> set[str]:
        """Return the names of all files, with ``/`` between folder and file."""
        ...

    def map(self, name: str) -> memoryview:
        """Return the bytes of a file, read-only.

        Raises:
            BundleError: it is not there, or cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of what was mapped; what is still in use lives on until it is not."""
        ...


def is_bundle(path: Path) -> bool:
    """Whether something lies at ``path`` that is to be opened as a bundle, and not as an index."""
    try:
        if path.is_dir():
            return os.path.lexists(path / MANIFEST_NAME)
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return path.suffix.lower() == ".zip" or stream.read(2) == _LOCAL_SIGNATURE[:2]
    except (OSError, ValueError):
        return False


def generation(path: Path) -> str:
    """Return a text that is another one after every change of the bundle at ``path``; empty where none is there."""
    try:
        status = (path / MANIFEST_NAME if path.is_dir() else path).stat()
    except OSError:
        return ""
    return hashlib.sha256(f"{status.st_ino} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]


def open_container(path: Path) -> Container:
    """Open the folder or zip file at ``path``.

    Raises:
        BundleError: there is none, or it holds something that no bundle holds.
    """
    try:
        return _Folder(path) if path.is_dir() else _Zip(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error


def open_checked(container: Container, *, kind: str) -> tuple[BundleManifest, dict[str, memoryview]]:
    """Return the manifest of a container and its files, mapped.

    Every file is compared with its sha256 (10 MB take 10 to 30 ms, as the CPU has it), however large it is, but those of
    models: their size is compared here, and the sha256 when somebody is about to use them.

    Raises:
        BundleError: a file is missing, not named by the manifest, or not what was written.
    """
    data = container.map(MANIFEST_NAME)
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"The manifest of {container.path} is too large to be one; {_GET_AGAIN}")
    manifest = parse_manifest(bytes(data), str(container.path), kind=kind)
    strange = container.names() - set(manifest.files) - {MANIFEST_NAME}
    if strange:
        raise BundleError(f"{container.path} holds {min(strange)!a}, which its manifest does not name; {_GET_AGAIN}")
    files = {}
    for name, entry in manifest.files.items():
        files[name] = container.map(name)
        if len(files[name]) != entry.size:
            raise BundleError(
                f"{name} of {container.path} has {len(files[name])} bytes, {entry.size} were written; {_GET_AGAIN}"
            )
        if "/" not in name:
            check_sha256(files[name], entry, f"{name} of {container.path}")
    return manifest, files


def check_sha256(data: memoryview, entry: FileEntry, place: str) -> None:
    """Compare the bytes of a file with the manifest.

    Raises:
        BundleError: they differ.
    """
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BundleError(f"{place} is not what was written; {_GET_AGAIN}")


class _Folder:
    """A folder with files, and one level of folders in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._maps: list[mmap.mmap] = []

    def names(self) -> set[str]:
        # A desktop leaves files that begin with a dot wherever somebody looks.
        found: set[str] = set()
        for entry in self._entries(self.path):
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                found.update(f"{entry.name}/{below.name}" for below in self._entries(Path(entry.path)))
            else:
                found.add(entry.name)
        return found

    def _entries(self, folder: Path) -> Iterable[os.DirEntry[str]]:
        entries: list[os.DirEntry[str]] = []
        with os.scandir(folder) as found:
            for entry in found:
                if len(entries) > _MEMBERS:
                    raise BundleError(f"{folder} holds more files than a bundle can; {_GET_AGAIN}")
                if not entry.name.startswith("."):
                    entries.append(entry)
        return entries

    def map(self, name: str) -> memoryview:
        path = self.path / name
        try:
            if "/" in name and path.parent.is_symlink():
                raise BundleError(f"{path.parent} is a link; a bundle holds none; {_GET_AGAIN}")
            # Neither a link nor a pipe may be opened in place of a file: the one leads elsewhere, the other waits forever.
            descriptor = os.open(
                path,
                os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0),
            )
            try:
                return _mapped(descriptor, path, self._maps)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise BundleError(f"{path} is missing; {_GET_AGAIN}") from None
        except OSError as error:
            if path.is_symlink():
                raise BundleError(f"{path} is a link; a bundle holds none; {_GET_AGAIN}") from None
            raise BundleError(f"{path} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        _close_maps(self._maps)


class _Zip:
    """A zip file whose members are stored as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._maps: list[mmap.mmap] = []
        with path.open("rb") as stream:
            self._whole = _mapped(stream.fileno(), path, self._maps)
            try:
                with zipfile.ZipFile(stream) as archive:
                    self._members = self._checked(archive.infolist())
            except BundleError:
                raise
            # On damaged directories zipfile raises these; what they say is of no use to a user.
            except (
                zipfile.BadZipFile,
                ValueError,
                struct.error,
                NotImplementedError,
                EOFError,
                OverflowError,
            ) as error:
                raise BundleError(f"{path} is not a complete zip file ({error}); {_GET_AGAIN}") from error

    def _checked(self, infos: list[zipfile.ZipInfo]) -> dict[str, memoryview]:
        """Return the bytes of each member, or refuse the file for the first that no bundle has."""
        if len(infos) > _MEMBERS:
            raise BundleError(f"{self.path} holds more files than a bundle can; {_GET_AGAIN}")
        members: dict[str, memoryview] = {}
        taken: list[tuple[int, int]] = []
        for info in infos:
            if info.filename.endswith("/") and info.file_size == 0:  # other programs than ours note folders, too
                continue
            trouble = _trouble(info, members)
            if trouble:
                raise BundleError(f"{self.path}: {trouble}; {_GET_AGAIN}")
            start, end = self._place(info)
            taken.append((info.header_offset, end))
            members[info.filename] = self._whole[start:end]
        taken.sort()
        if any(start < end for (_, end), (start, _) in pairwise(taken)):
            raise BundleError(f"{self.path} has overlapping members; {_GET_AGAIN}")
        return members

    def _place(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Return where the bytes of a member begin and end; its own header stands before them."""
        start = info.header_offset
        if 0 <= start <= len(self._whole) - _LOCAL_HEADER.size:
            signature, name, extra = _LOCAL_HEADER.unpack_from(self._whole, start)
            start += _LOCAL_HEADER.size
            same_name = bytes(self._whole[start : start + name]) == info.filename.encode("utf-8")
            start += name + extra
            if signature == _LOCAL_SIGNATURE and same_name and start + info.file_size <= len(self._whole):
                return start, start + info.file_size
        raise BundleError(f"{self.path} is cut off or damaged at {info.filename!a}; {_GET_AGAIN}")

    def names(self) -> set[str]:
        return set(self._members)

    def map(self, name: str) -> memoryview:
        if name not in self._members:
            raise BundleError(f"{self.path} lacks {name}; {_GET_AGAIN}")
        return self._members[name]

    def close(self) -> None:
        self._members = {}
        self._whole = memoryview(b"")
        _close_maps(self._maps)


def _trouble(info: zipfile.ZipInfo, before: Iterable[str]) -> str | None:
    """Say what is wrong with a member of a zip file, before a byte of it is read."""
    name = ascii(info.filename)
    if info.filename in before:
        return f"{name} is in it twice"
    if info.flag_bits & 0x1:
        return f"{name} is encrypted"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return f"{name} is compressed; only a zip file of stored members can be mapped"
    mode = info.external_attr >> 16
    if info.filename.endswith("/") or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return f"{name} is a link or another kind of file that a bundle cannot hold"
    return None


def _mapped(descriptor: int, path: Path, maps: list[mmap.mmap]) -> memoryview:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path} is not a regular file; {_GET_AGAIN}")
    if status.st_size == 0:  # cannot be mapped
        return memoryview(b"")
    maps.append(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    return memoryview(maps[-1])


def _close_maps(maps: list[mmap.mmap]) -> None:
    while maps:
        with suppress(BufferError):  # an array of it is still in use; it is unmapped with the last of them
            maps.pop().close()
