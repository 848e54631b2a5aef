"""A few photos, the place of their index, and a run that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_catalog import PHOTOS, Run
from pictures import swatches

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index
from vlm4rec_edge.indexing.report import IndexReport


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a few small photos."""
    swatches(tmp_path / "photos", PHOTOS)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the index goes."""
    return tmp_path / "shop.index"


@pytest.fixture
def run(out: Path, brief_captioner: LlamaCaptioner, encoder: OnnxEncoder) -> Run:
    """Index a catalog with the embedded models, captions held short."""

    def index(catalog: Path, **settings: Any) -> IndexReport:
        return build_index(catalog, out, **{"captioner": brief_captioner, "encoder": encoder, **settings})

    return index
