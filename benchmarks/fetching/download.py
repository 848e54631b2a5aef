"""Downloads that go on where they stopped: whole files with a checksum, and many photos."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import MissingDependencyError, PhotoError, Vlm4RecError
from vlm4rec_edge.quiet import load

# So many photos at once are quick and no burden on anybody's server.
_TOGETHER = 8
_TRIES, _SECONDS_BETWEEN = 3, 1.0
_TIMEOUT_S = 30
# Asking again changes nothing.
_FINAL = (400, 401, 403, 404, 410)
# A photo of a product is far smaller; more is something else.
_LARGEST_PHOTO = 20 * 1024 * 1024
_BLOCK = 1 << 20
_SHA256_LENGTH, _SHA1_LENGTH = 64, 40


class FetchError(Vlm4RecError):
    """A file cannot be fetched, or is not what was stated."""


@dataclass(frozen=True)
class HubFile:
    """A file of a data set on the Hugging Face hub at a fixed revision."""

    repository: str
    revision: str
    name: str


def fetch_hub_file(file: HubFile, folder: Path, say: Callable[[str], None]) -> Path:
    """Return the file, in ``folder``; what is there is compared with the checksum the hub states, and not sent again.

    A transfer that broke off goes on where it stopped. ``HF_ENDPOINT`` and ``HF_TOKEN`` are those of huggingface_hub.

    Raises:
        FetchError: no network, no such file, or the bytes are not those the hub states.
    """
    try:
        hub, file_download = load("huggingface_hub"), load("huggingface_hub.file_download")
    except ImportError:
        raise MissingDependencyError('Fetching needs huggingface_hub: pip install "vlm4rec-edge[cpu]"') from None
    url = hub.hf_hub_url(file.repository, file.name, repo_type="dataset", revision=file.revision)
    path = folder / Path(file.name).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        stated = hub.get_hf_file_metadata(url)
        digest, size = (stated.etag or "").lower(), stated.size
        if size is None or len(digest) not in (_SHA256_LENGTH, _SHA1_LENGTH):
            raise FetchError(f"{url} does not answer like a Hugging Face hub; check HF_ENDPOINT and your proxy.")
        if path.is_file() and _fits(path, size, digest):
            return path
        say(f"fetching {file.name}, {size / 1e6:,.1f} MB")
        # The checksum in its name keeps the rest of one version from being put behind the start of another.
        part = path.with_name(f"{path.name}.{digest[:16]}.part")
        part.touch()
        with part.open("r+b") as stream:
            have = stream.seek(0, os.SEEK_END)
            if have < size:
                headers = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}
                file_download.http_get(url, stream, resume_size=have, headers=headers, expected_size=size)
    except FetchError:
        raise
    except Exception as error:  # huggingface_hub's errors, and those of the HTTP library below it, share no base class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FetchError(f"{url} cannot be fetched: {reason}. Run the same command again; it goes on.") from error
    if not _fits(part, size, digest):
        part.unlink()
        raise FetchError(f"{file.name} arrived damaged and was thrown away; run the same command again.")
    part.replace(path)
    return path


def fetch_file(url: str, path: Path, md5: str, say: Callable[[str], None]) -> Path:
    """Return a file of any server, at ``path``; what is there is compared with ``md5`` (hex), and not sent again.

    A transfer that broke off goes on where it stopped, if the server can.

    Raises:
        FetchError: no network, no such file, or the bytes are not those of the checksum.
    """
    if path.is_file() and _md5_of(path) == md5:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # The checksum in its name keeps the rest of one version from being put behind the start of another.
    part = path.with_name(f"{path.name}.{md5[:16]}.part")
    have = part.stat().st_size if part.is_file() else 0
    say(f"fetching {path.name}")
    try:
        with _open(url, {"Range": f"bytes={have}-"} if have else {}) as answer:
            with part.open("ab" if answer.status == 206 else "wb") as stream:
                shutil.copyfileobj(answer, stream)
            expected = answer.headers.get("Content-Length")
            if expected and part.stat().st_size < int(expected):
                raise OSError("the connection was closed too early")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # there is no more than what is here already
            raise FetchError(f"{url} cannot be fetched: HTTP {error.code}.") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise FetchError(f"{url} cannot be fetched: {reason}. Run the same command again; it goes on.") from error
    if _md5_of(part) != md5:
        part.unlink()
        raise FetchError(f"{path.name} arrived damaged and was thrown away; run the same command again.")
    part.replace(path)
    return path


def fetch_text(url: str) -> str:
    """Return a short text.

    Raises:
        FetchError: it cannot be had.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_SECONDS_BETWEEN * attempt)
        try:
            with _open(url, {}) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code}"
            if error.code in _FINAL:
                break
        except OSError as error:
            reason = str(getattr(error, "reason", error))
    raise FetchError(f"{url.partition('?')[0]} cannot be fetched: {reason}.")


def fetch_photos(urls: Mapping[Path, str], say: Callable[[str], None]) -> dict[Path, str]:
    """Fetch photos to their paths; those that are there are not sent again. Return why some could not be had.

    What comes is looked at before it gets its name: only photos that can be decoded are kept.
    """
    to_do = {path: url for path, url in urls.items() if not path.is_file()}
    say(f"{len(to_do):,} of {len(urls):,} photos to fetch")
    failures: dict[Path, str] = {}
    with ThreadPoolExecutor(_TOGETHER) as threads:
        for done, (path, reason) in enumerate(zip(to_do, threads.map(_photo, to_do, to_do.values()), strict=True), 1):
            if reason:
                failures[path] = reason
            if done % 500 == 0:
                say(f"{done:,} of {len(to_do):,} photos, {len(failures):,} not to be had")
    return failures


def _photo(path: Path, url: str) -> str:
    """Fetch one photo; return why it cannot be had, empty if it is there."""
    reason = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_SECONDS_BETWEEN * attempt)
        try:
            with _open(url, {}) as answer:
                content = answer.read(_LARGEST_PHOTO + 1)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code}"
            if error.code in _FINAL:
                return reason
            continue
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "reason", error))
            continue
        return _keep(path, content)
    return reason


def _keep(path: Path, content: bytes) -> str:
    if len(content) > _LARGEST_PHOTO:
        return "too large for a photo"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    try:
        decode_photo(read_photo_file(part), path.name)
    except PhotoError as error:
        part.unlink()
        return str(error)
    part.replace(path)
    return ""


def _open(url: str, headers: Mapping[str, str]) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "vlm4rec-edge benchmarks", **headers})
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def _md5_of(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # it is what the server states; it tells damage, not malice
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fits(path: Path, size: int, digest: str) -> bool:
    if path.stat().st_size != size:
        return False
    if len(digest) == _SHA256_LENGTH:
        return sha256_of(path) == digest
    # A file outside LFS is a git blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    content: Any = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == digest
