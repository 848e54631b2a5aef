"""The manifest of a bundle or of a delta: what it is, what made it, and the sha256 of every file.

It carries a digest of itself, so a bundle is known by one short text. Digest and sha256 find damage and a changed
file; only a digest from another channel can show that a stranger did not rebuild the whole bundle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vlm4rec_edge.bundle.sections import Section
from vlm4rec_edge.errors import BundleError

MANIFEST_NAME = "manifest.json"
FORMAT = 1
# A manifest of a few kilobytes is usual; a delta lists every piece it copies. More would only be made to fill memory.
MAX_MANIFEST_BYTES = 64 * 1024 * 1024

ITEMS, VECTORS, THUMBNAILS, LITERALS = "items.bin", "vectors.bin", "thumbnails.bin", "literals.bin"
ENCODER_FOLDER, LVLM_FOLDER = "encoder", "lvlm"
# No name that leaves the folder, hides in it, or means something to an operating system.
_NAME = re.compile(
    rf"(?:items|vectors|thumbnails|literals)\.bin|(?:{ENCODER_FOLDER}|{LVLM_FOLDER})/[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_file_name(name: str) -> bool:
    """Whether a bundle can hold a file of this name."""
    return _NAME.fullmatch(name) is not None


class DeltaGivenError(BundleError):
    """A delta was given where a bundle is needed; it is whole."""


@dataclass(frozen=True)
class FileEntry:
    """One file: size in bytes, sha256 (hex), and the arrays in it (none in a model's file)."""

    size: int
    sha256: str
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class BundleManifest:
    """What a manifest says.

    ``kind`` is ``bundle`` or ``delta``; ``package`` the version that wrote it; ``content`` all that is special to the
    kind (see docs/reference/bundle.md); ``digest`` the sha256 (hex) of all the rest.
    """

    kind: str
    package: str
    files: Mapping[str, FileEntry]
    content: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    def to_bytes(self) -> bytes:
        """Return the manifest as it is written; the same content is always the same bytes."""
        document = self._document()
        return canonical({**document, "digest": _digest(document)})

    def _document(self) -> dict[str, Any]:
        files: dict[str, Any] = {}
        for name, entry in self.files.items():
            files[name] = {"size": entry.size, "sha256": entry.sha256}
            if entry.sections:
                files[name]["sections"] = [[part.name, part.dtype, part.count] for part in entry.sections]
        return {"format": FORMAT, "kind": self.kind, "package": self.package, "files": files, **self.content}


def parse_manifest(data: bytes, place: str, *, kind: str) -> BundleManifest:
    """Read a manifest and check it against its own digest.

    Raises:
        BundleError: it is no manifest, of another kind, damaged, or of a newer format; the sentence says which.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"The manifest of {place} is too large to be one; get the bundle again.")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"The manifest of {place} is not valid JSON ({error}); get the bundle again.") from error
    if not isinstance(document, dict) or not _is_count(document.get("format")) or "kind" not in document:
        raise BundleError(f"{place} is not a bundle: its {MANIFEST_NAME} is that of something else.")
    if document["format"] > FORMAT:
        raise BundleError(
            f"{place} has format {document['format']}, written by vlm4rec-edge {document.get('package', '?')}; this "
            f"version reads up to {FORMAT}. Upgrade vlm4rec-edge."
        )
    digest = document.pop("digest", None)
    if digest != _digest(document):
        raise BundleError(f"The manifest of {place} is not what was written; get the bundle again.")
    if document["kind"] != kind:
        if document["kind"] == "delta":
            raise DeltaGivenError(f"{place} is a delta, no bundle; apply it with `vlm4rec-edge patch OLD {place} NEW`.")
        raise BundleError(f"{place} is a {document['kind']}; a {kind} is needed here.")
    try:
        files = {name: _entry(name, entry) for name, entry in document["files"].items()}
        package = _text(document["package"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"The manifest of {place} lacks or misuses {error}; get the bundle again.") from error
    content = {key: value for key, value in document.items() if key not in {"format", "kind", "package", "files"}}
    manifest = BundleManifest(kind, package, files, content, digest)
    if manifest.to_bytes() != data:
        raise BundleError(f"The manifest of {place} is not in the form of a manifest; get the bundle again.")
    return manifest


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of files in the order in which they are written, so that equal bundles are equal zip files."""
    return sorted(names, key=lambda name: ("/" in name, name))


def looks_like_manifest(data: bytes) -> bool:
    """Whether these bytes were once the manifest of a bundle or a delta, of whatever format, whole or not."""
    return b'"kind": "bundle"' in data or b'"kind": "delta"' in data


def document_of(manifest: BundleManifest) -> dict[str, Any]:
    """Return a manifest as it is carried inside a delta."""
    return dict(json.loads(manifest.to_bytes()))


def _entry(name: str, entry: Mapping[str, Any]) -> FileEntry:
    if not is_file_name(name):
        raise ValueError(f"a file called {name!a}")
    if not _is_count(entry["size"]) or not _SHA256.fullmatch(_text(entry["sha256"])):
        raise ValueError(f"size or sha256 of {name}")
    return FileEntry(entry["size"], entry["sha256"], tuple(map(_section, entry.get("sections", ()))))


def _section(parts: Sequence[Any]) -> Section:
    name, dtype, count = parts
    if not _is_count(count):
        raise ValueError(f"the length of {name!a}")
    return Section(_text(name), _text(dtype), count)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the value {value!a}, which is not a text")
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("it has a duplicate key")
    return document


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()


def canonical(document: Any) -> bytes:
    """Return the one way in which a document is written."""
    # ASCII, so that half a surrogate pair in somebody's column name is still bytes.
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode("ascii")
