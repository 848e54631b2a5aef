"""Ship only what is new: a delta against an older bundle, and the new bundle made of both, byte for byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vlm4rec_edge
from vlm4rec_edge.bundle.container import open_checked, open_container
from vlm4rec_edge.bundle.manifest import (
    LITERALS,
    BundleManifest,
    canonical,
    document_of,
    in_order,
    parse_manifest,
)
from vlm4rec_edge.bundle.matching import LITERAL, pieces
from vlm4rec_edge.bundle.output import bundle_output, check_output, size_of
from vlm4rec_edge.bundle.sections import Section, file_size, written
from vlm4rec_edge.bundle.writer import BundleReport, make_bundle
from vlm4rec_edge.errors import BundleError, UsageError
from vlm4rec_edge.given import path_of

_GET_AGAIN = "get the delta again."


@dataclass(frozen=True)
class DeltaReport:
    """What a delta holds: the bundle it makes of ``old``, bytes copied from that, and bytes that are new and in the delta."""

    delta: Path
    bytes: int
    bundle: BundleReport
    old: Path
    copied_bytes: int
    new_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``bundle --delta --json`` prints."""
        about = {"old": str(self.old), "copied_bytes": self.copied_bytes, "new_bytes": self.new_bytes}
        return {**self.bundle.to_dict(), "bundle": str(self.delta), "bytes": self.bytes, "delta": about}


@dataclass(frozen=True)
class PatchReport:
    """The bundle that a delta made: its items, bytes and digest."""

    bundle: Path
    items: int
    bytes: int
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``patch --json`` prints."""
        return {**asdict(self), "bundle": str(self.bundle)}


def make_delta(index: Path | str, out: Path | str, old: Path | str, **settings: Any) -> DeltaReport:
    """Write what turns the bundle ``old`` into the one that ``make_bundle(index, ..., **settings)`` makes now.

    Raises:
        BundleError: ``old`` is no bundle, or damaged.
        UsageError: ``out`` is ``old``, or as ``make_bundle``.
        StoreError: as ``make_bundle``.
    """
    out, old = path_of(out, "A delta"), path_of(old, "The old bundle")
    if out.exists() and old.exists() and out.samefile(old):
        raise UsageError(f"{out} is the old bundle itself, which is needed to apply the delta; give another name.")
    check_output(out)
    with closing(open_container(old)) as older:
        old_manifest, old_files = open_checked(older, kind="bundle")
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            report = make_bundle(index, Path(folder) / "new", **settings)
            newer = open_container(Path(folder) / "new")
            try:
                manifest, files = open_checked(newer, kind="bundle")
                made_of = {
                    name: _pieces(name, old_manifest, old_files, manifest, files) for name in in_order(manifest.files)
                }
                _write(out, old_manifest, manifest, made_of, files)
            finally:
                files = {}
                newer.close()
    lengths = [(start == LITERAL, length) for parts in made_of.values() for start, length in parts]
    new_bytes = sum(length for is_new, length in lengths if is_new)
    copied_bytes = sum(length for _, length in lengths) - new_bytes
    return DeltaReport(out, size_of(out), report, old, copied_bytes, new_bytes)


def _pieces(
    name: str,
    old: BundleManifest,
    old_files: Mapping[str, memoryview],
    new: BundleManifest,
    new_files: Mapping[str, memoryview],
) -> list[tuple[int, int]]:
    size = new.files[name].size
    if name not in old.files:
        return [(LITERAL, size)] if size else []
    if old.files[name].sha256 == new.files[name].sha256:
        return [(0, size)] if size else []
    return pieces(old_files[name], new_files[name])


def _write(
    out: Path,
    old: BundleManifest,
    new: BundleManifest,
    made_of: Mapping[str, list[tuple[int, int]]],
    files: Mapping[str, memoryview],
) -> None:
    def literals() -> Iterator[np.ndarray]:
        for name, parts in made_of.items():
            at = 0
            for start, length in parts:
                if start == LITERAL:
                    yield np.frombuffer(files[name][at : at + length], np.uint8)
                at += length

    size = sum(length for parts in made_of.values() for start, length in parts if start == LITERAL)
    sections = (Section("literals", "|u1", size),)
    with bundle_output(out) as output:
        output.add(LITERALS, file_size(sections), written([literals()]), sections)
        content = {"old": old.digest, "new": document_of(new), "pieces": made_of}
        output.finish(BundleManifest("delta", vlm4rec_edge.__version__, output.files, content))


def apply_delta(delta: Path | str, old: Path | str, out: Path | str) -> PatchReport:
    """Write the bundle that ``delta`` makes of ``old``; its files are those of a full bundle.

    ``out`` may be ``old`` itself, which is then replaced.

    Raises:
        BundleError: the delta or the old bundle is damaged, or the delta was made against another bundle.
        UsageError: ``out`` cannot be written.
    """
    delta, old, out = path_of(delta, "A delta"), path_of(old, "The old bundle"), path_of(out, "A bundle")
    check_output(out)
    with closing(open_container(delta)) as difference, closing(open_container(old)) as older:
        changes, new_bytes = open_checked(difference, kind="delta")
        old_manifest, old_files = open_checked(older, kind="bundle")
        if changes.content.get("old") != old_manifest.digest:
            raise BundleError(
                f"{delta} was made against another bundle than {old} (digest {old_manifest.digest}); get the one that "
                "fits, or the whole bundle."
            )
        new = parse_manifest(canonical(changes.content.get("new", {})), f"the bundle in {delta}", kind="bundle")
        made_of = _checked_pieces(changes, new, old_manifest, delta)
        literals = new_bytes[LITERALS]
        at = 0
        with bundle_output(out) as output:
            for name in in_order(new.files):
                source = old_files.get(name, memoryview(b""))
                entry = new.files[name]
                parts = made_of[name]
                written_entry = output.add(name, entry.size, _joined(parts, source, literals, at), entry.sections)
                at += sum(length for start, length in parts if start == LITERAL)
                if written_entry != entry:
                    raise BundleError(f"{name} would not become what {delta} promises; {_GET_AGAIN}")
            output.finish(new)
        return PatchReport(out, int(new.content["items"]), size_of(out), new.digest)


def _checked_pieces(
    changes: BundleManifest, new: BundleManifest, old: BundleManifest, place: Path
) -> dict[str, list[tuple[int, int]]]:
    """Return the pieces of each file if they make exactly the files of ``new`` from what is there."""
    given = changes.content.get("pieces")
    try:
        made_of = {name: [(int(start), int(length)) for start, length in given[name]] for name in new.files}  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{place} does not say what the new bundle is made of; {_GET_AGAIN}") from error
    literals = 0
    for name, parts in made_of.items():
        available = old.files[name].size if name in old.files else 0
        for start, length in parts:
            if length < 0 or start < LITERAL or (start != LITERAL and start + length > available):
                raise BundleError(f"{place} copies bytes of {name} that the old bundle does not have; {_GET_AGAIN}")
        literals += sum(length for start, length in parts if start == LITERAL)
        if sum(length for _, length in parts) != new.files[name].size:
            raise BundleError(f"The pieces of {name} in {place} do not make it complete; {_GET_AGAIN}")
    there = changes.files.get(LITERALS)
    if there is None or file_size((Section("literals", "|u1", literals),)) != there.size:
        raise BundleError(f"{place} does not hold the new bytes it names; {_GET_AGAIN}")
    return made_of


def _joined(parts: list[tuple[int, int]], source: memoryview, literals: memoryview, at: int) -> Iterator[memoryview]:
    for start, length in parts:
        if start == LITERAL:
            yield literals[at : at + length]
            at += length
        else:
            yield source[start : start + length]
