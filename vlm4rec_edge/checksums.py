"""The sha256 of a file: what a manifest, a graph's stamp and a caption's provenance know a file by."""

from __future__ import annotations

from pathlib import Path

# Large enough that hashing runs at disk speed, small enough to be no memory cost.
_HASH_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex, read in blocks."""
    import hashlib  # it loads OpenSSL, which a process that only recommends has no use for

    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()
