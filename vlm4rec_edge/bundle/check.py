"""Is a bundle whole? All that opening checks, and the models in it."""

from __future__ import annotations

from pathlib import Path

from vlm4rec_edge.bundle.container import check_sha256
from vlm4rec_edge.bundle.manifest import MANIFEST_NAME, DeltaGivenError
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.errors import BundleError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.store.check import Finding, VerifyReport

_REMEDY = "Get the bundle again."


def verify_bundle(path: Path | str) -> VerifyReport:
    """Check every file of a bundle. What is wrong is reported, not raised.

    Raises:
        UsageError: ``path`` is not a path.
    """
    path = path_of(path, "A bundle")
    try:
        bundle = BundleReader(path)
    except BundleError as error:
        is_delta = isinstance(error, DeltaGivenError)  # and the error says what it is for
        return VerifyReport((Finding(path.name, str(error)),), index=str(path), remedy="" if is_delta else _REMEDY)
    with bundle:
        findings = []
        for name, entry in bundle.manifest.files.items():
            try:
                check_sha256(bundle.file(name), entry, f"{name} of {path}")
            except BundleError as error:
                findings.append(Finding(name, str(error)))
        try:
            bundle.thumbnail("")
        except BundleError as error:
            findings.append(Finding(MANIFEST_NAME, str(error)))
        captions = int(bundle.manifest.content["captions"])
        found = tuple(findings)
        remedy = _REMEDY if found else ""
        return VerifyReport(found, bundle.count(), captions, bundle.rows, index=str(path), remedy=remedy)
