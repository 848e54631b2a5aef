"""A catalog in shards, and the index that one run makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_once import made_once
from made_shards import models, odd_catalog

from vlm4rec_edge import build_index
from vlm4rec_edge.shards.planning import plan_shards


@pytest.fixture(autouse=True)
def _no_array_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests in an array job does not choose shards by that."""
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of an odd catalog. To be read only."""
    return made_once(tmp_path_factory, "odd", odd_catalog) / "items.csv"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, odd: Path) -> Path:
    """The index that one run makes of the odd catalog. To be read only."""
    folder = tmp_path_factory.mktemp("whole")
    own = models(folder / "captions.log")
    build_index(odd, folder / "shop.index", captioner=own.captioner, encoder=own.encoder)
    return folder / "shop.index"


@pytest.fixture
def shards(tmp_path: Path, odd: Path) -> Path:
    """The odd catalog, planned in shards of at most 16 rows."""
    plan_shards(odd, tmp_path / "shards", rows=16)
    return tmp_path / "shards"
