"""Small versions of ``benchmarks/faults.py``: its parts, a small catalog, and an index of it to break."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from breaking import child
from breaking.child import Task
from breaking.trials import Catalog, make_catalog, run_child
from drawings import catalog_of_drawings
from forked import interpreter
from made_once import made_once
from running.fresh_process import part_command
from running.stand_ins import small_limits

_ITEMS, _TWINS = 90, 6


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs and compaction begin at a few dozen rows, here as in the child processes."""
    for module, name, value in small_limits():
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="session", autouse=True)
def _children_are_forked() -> Iterator[None]:
    """They take longer to import than to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "part_command", lambda *part: [*interpreter(), *part_command(*part)[1:]])
        yield


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog of made pictures with captions written beforehand. To be read only."""
    drawings = catalog_of_drawings(5, seed=4)[:_ITEMS]
    folder = made_once(tmp_path_factory, "catalog", lambda folder: make_catalog(folder, drawings, twins=_TWINS))
    return Catalog(folder / "items.csv", folder / "captions.json")


@pytest.fixture
def task(tmp_path: Path, catalog: Catalog) -> Task:
    """A run of ``index`` on the catalog into a folder that is not there yet."""
    return Task(
        "index",
        str(catalog.table),
        str(tmp_path / "shop.index"),
        str(catalog.recording),
        str(tmp_path / "captions.log"),
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Task:
    """A run that went to its end. Its index is to be copied, not changed."""
    folder = tmp_path_factory.mktemp("finished")
    task = Task(
        "index", str(catalog.table), str(folder / "shop.index"), str(catalog.recording), str(folder / "captions.log")
    )
    ended = run_child(task)
    assert ended.code == 0, ended.said
    return task
