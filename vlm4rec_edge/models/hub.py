"""Bring a model of the registry onto this machine, so that it is either whole and checked or not there.

Files are gathered in ``.partial/NAME`` beside the model folders. A transfer that breaks off leaves its bytes
there and the next run asks only for the rest. When every checksum fits, the manifest is written and the
folder is renamed to its place in one step. The transfer itself is huggingface_hub's (``http_get``:
redirects, tokens, retries, progress bar); its ``hf_hub_download`` is not used because from version 2 on it
throws an interrupted file away.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vlm4rec_edge import __version__
from vlm4rec_edge.atomic import take_place
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import MissingDependencyError, ModelError
from vlm4rec_edge.models.gguf import check_projector, check_text_model
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.hub_errors import patiently, sentences
from vlm4rec_edge.models.installed import installed, not_installed
from vlm4rec_edge.models.manifest import (
    MANIFEST_NAME,
    Manifest,
    ModelFile,
    Source,
    check_files,
    read_manifest,
)
from vlm4rec_edge.models.registry import ModelEntry, RegistryFile, registry
from vlm4rec_edge.models.resolve import unknown_name
from vlm4rec_edge.quiet import load

PARTIAL = ".partial"

_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = {"1", "ON", "YES", "TRUE"}
_SHA256_LENGTH, _SHA1_LENGTH = 64, 40
# All that the hub learns of this machine; by itself huggingface_hub adds Python's version and its own.
_WHO_ASKS = {"user-agent": f"vlm4rec-edge/{__version__}"}
_ROOM = 16 << 20  # a full disk hurts more than this program; leave a little


@dataclass(frozen=True)
class _Remote:
    """What the hub says of one file before it is sent; ``digest`` is a sha256, or a git blob's sha1."""

    url: str
    size: int
    digest: str
    commit: str


def pull(name: str, *, offline: bool = False, progress: bool = True) -> Path:
    """Return the folder of a model, fetching what is missing; a whole model costs only its checksums.

    Every file is compared with the sha256 the registry pins; where it pins none, with the one the hub states
    (the git hash for a small file). ``offline``, or ``HF_HUB_OFFLINE`` in the environment, forbids the
    network. Set ``HF_ENDPOINT`` for a mirror of the hub and ``HF_TOKEN`` for a repository that asks who you
    are.

    Raises:
        ModelError: unknown name, no network, nothing of that name on the hub, full disk, or a checksum that
        differs. MissingDependencyError: huggingface_hub is not installed.
    """
    entry = registry().get(name.lower())
    if entry is None:
        raise ModelError(f"The registry has no model {name!r}; {unknown_name(name, list(registry()))}")
    if entry.embedded:
        folder = installed().get(entry.name)
        if folder is None:
            raise not_installed(entry)
        check_files(folder, read_manifest(folder))
        return folder
    target = models_home() / entry.name
    if _is_whole(target, entry):
        return target
    if offline or any(os.environ.get(variable, "").upper() in _TRUE for variable in _OFFLINE_VARIABLES):
        missing = [file.name for file in entry.files.values() if not (target / file.name).is_file()]
        what = f"missing: {', '.join(missing)}" if missing else "its files are damaged or of another revision"
        raise ModelError(
            f"{entry.name} is not whole in {target} ({what}) and network use is off; "
            f"without --offline and HF_HUB_OFFLINE, run: vlm4rec-edge models pull {entry.name}"
        )
    with sentences(entry):
        return _pull(entry, target, progress=progress)


def _is_whole(folder: Path, entry: ModelEntry) -> bool:
    try:
        manifest = read_manifest(folder)
        check_files(folder, manifest)
    except ModelError:
        return False
    # A branch may have moved on; a model that was pulled from it still counts. A pinned commit must be that
    # commit.
    return entry.revision in ("main", manifest.source.revision)


def _pull(entry: ModelEntry, target: Path, *, progress: bool) -> Path:
    hub = _huggingface_hub()
    partial = target.parent / PARTIAL / entry.name
    partial.parent.mkdir(parents=True, exist_ok=True)
    # A second pull of the same model waits here and then finds it done.
    with hub.utils.WeakFileLock(partial.with_name(f"{entry.name}.lock")):
        if _is_whole(target, entry):
            return target
        if target.exists() and not partial.exists():
            target.replace(partial)  # damaged, or of another revision: what still fits need not be sent again
        partial.mkdir(exist_ok=True)
        (partial / MANIFEST_NAME).unlink(missing_ok=True)
        remotes: dict[str, _Remote] = {}
        revision = entry.revision
        for role, file in entry.files.items():
            remotes[role] = _ask(hub, entry, file, revision)
            revision = remotes[role].commit  # all files of one commit, even if the branch moves meanwhile
        _check_room(partial, list(remotes.values()), entry)
        files = {
            role: _fetch(hub, partial, file.name, remotes[role], progress=progress)
            for role, file in entry.files.items()
        }
        if entry.kind == "lvlm":
            check_text_model(partial / files["text"].name)
            check_projector(partial / files["projector"].name)
        _manifest(entry, files, remotes, revision).write(partial)
        for left in partial.rglob("*.part"):
            left.unlink()
        take_place(partial, target)  # what is there is damaged or outdated
    return target


def _ask(hub: ModuleType, entry: ModelEntry, file: RegistryFile, revision: str) -> _Remote:
    """Ask the hub for commit, size and checksum of one file (HEAD), and hold them against the registry."""
    url = hub.hf_hub_url(entry.repository, file.name, revision=revision)
    stated = patiently(lambda: hub.get_hf_file_metadata(url, headers=_WHO_ASKS))
    digest = (stated.etag or "").lower()
    if stated.size is None or stated.commit_hash is None:
        raise ModelError(f"{url} does not answer like a Hugging Face hub; check HF_ENDPOINT and your proxy.")
    if file.sha256 and len(digest) == _SHA256_LENGTH and digest != file.sha256:
        raise ModelError(
            f"The hub states another sha256 for {file.name} of {entry.repository} than the registry pins "
            f"({digest[:12]} instead of {file.sha256[:12]}); nothing was fetched. "
            "Upgrade vlm4rec-edge, or fetch the files yourself and give their folder."
        )
    url = hub.hf_hub_url(entry.repository, file.name, revision=stated.commit_hash)
    return _Remote(url, stated.size, file.sha256 or digest, stated.commit_hash)


def _fetch(hub: ModuleType, partial: Path, name: str, remote: _Remote, *, progress: bool) -> ModelFile:
    """Bring one file into ``partial``, continuing an earlier transfer of the same bytes."""
    path = partial / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.is_file() and _fits(path, remote)):
        # The checksum in its name keeps the rest of one version from being put behind the start of another.
        part = path.with_name(f"{path.name}.{remote.digest[:16]}.part")
        if part.is_file() and part.stat().st_size > remote.size:
            part.unlink()
        patiently(lambda: _transfer(hub, part, name, remote, progress=progress))
        if not _fits(part, remote):
            found = sha256_of(part)
            part.unlink()
            raise ModelError(
                f"{name} from {remote.url} arrived damaged or changed (sha256 {found[:12]}, "
                f"expected {remote.digest[:12]}); it was deleted. Run the same command again."
            )
        part.replace(path)
    return ModelFile(name=name, size=remote.size, sha256=sha256_of(path))


def _transfer(hub: ModuleType, part: Path, name: str, remote: _Remote, *, progress: bool) -> None:
    # Compressed bytes could not be continued by position.
    headers = hub.utils.build_hf_headers(headers={**_WHO_ASKS, "Accept-Encoding": "identity"})
    if not progress:
        hub.utils.disable_progress_bars()
    part.touch()
    with part.open("r+b") as stream:
        have = stream.seek(0, os.SEEK_END)
        hub.file_download.http_get(
            remote.url,
            stream,
            resume_size=have,
            headers=headers,
            expected_size=remote.size,
            displayed_filename=name,
        )


def _fits(path: Path, remote: _Remote) -> bool:
    if path.stat().st_size != remote.size:
        return False
    if len(remote.digest) == _SHA256_LENGTH:
        return sha256_of(path) == remote.digest
    if len(remote.digest) == _SHA1_LENGTH:
        # A file outside LFS is a git blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        return blob.hexdigest() == remote.digest
    return True


def _manifest(entry: ModelEntry, files: dict[str, ModelFile], remotes: dict[str, _Remote], commit: str) -> Manifest:
    return Manifest(
        name=entry.name,
        kind=entry.kind,
        license=entry.license,
        source=Source(repository=entry.repository, revision=commit),
        files=files,
        quantization=entry.quantization,
        encoder=entry.encoder,
        lvlm=entry.lvlm,
        verification={
            "checked_against": {
                role: "registry" if file.sha256 else "hub" if remotes[role].digest else "size only"
                for role, file in entry.files.items()
            }
        },
    )


def _check_room(partial: Path, remotes: list[_Remote], entry: ModelEntry) -> None:
    there = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    needed = sum(remote.size for remote in remotes) - there + _ROOM
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise ModelError(
            f"{entry.name} needs {needed / 1e6:.0f} MB more in {partial.parent.parent}, "
            f"which has {free / 1e6:.0f} MB free; "
            "make room, or set VLM4REC_EDGE_HOME to a folder on another disk."
        )


def _huggingface_hub() -> ModuleType:
    try:
        hub: ModuleType = load("huggingface_hub")
        load("huggingface_hub.file_download")
        load("huggingface_hub.errors")
    except ImportError as error:
        raise MissingDependencyError(
            'Pulling a model needs huggingface_hub; run: pip install "vlm4rec-edge[cpu]"'
        ) from error
    return hub
