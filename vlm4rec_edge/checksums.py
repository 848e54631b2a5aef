"""The sha256 of a file: what a manifest, a graph's stamp and a caption's provenance know a file by."""

from __future__ import annotations

from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex, read in blocks."""
    import hashlib  # it loads OpenSSL, which a process that only recommends has no use for

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
