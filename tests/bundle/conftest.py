"""A small index of many kinds of texts, and bundles of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_index import write_index

from vlm4rec_edge.bundle.writer import make_bundle


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 60 items on 48 vectors. To be read only."""
    return write_index(tmp_path_factory.mktemp("made") / "made.index")


@pytest.fixture(scope="session", params=["folder", "zip"])
def bundle(request: pytest.FixtureRequest, index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 bundle of the index, as a folder and as a zip file. To be read only."""
    out = tmp_path_factory.mktemp("bundle") / ("made.bundle" if request.param == "folder" else "made.zip")
    make_bundle(index, out)
    return out


@pytest.fixture
def folder(index: Path, tmp_path: Path) -> Path:
    """A bundle of its own, a folder, to damage."""
    make_bundle(index, tmp_path / "own.bundle")
    return tmp_path / "own.bundle"
