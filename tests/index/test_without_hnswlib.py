"""Without hnswlib a large index is scanned, built, verified and repaired all the same, and says once what is missing."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from looked_after import repaired
from made_store import random_vectors, write_store
from program import watched

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, Recommender, Vlm4RecWarning, build_index
from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.index import EXACT_LIMIT, ExactIndex, files, open_index, refresh
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.interchange.export import export_items
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.store.reader import StoreReader

INSTALL = 'pip install "vlm4rec-edge[hnsw]"'
# Fewer than the shop of the other tests has.
_FEW = 12


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of more vectors than are scanned by choice, without a graph. To be read only."""
    folder = tmp_path_factory.mktemp("large") / "large.index"
    return write_store(folder, random_vectors(EXACT_LIMIT + 1, 8))


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """An index of 300 vectors, and its graph."""
    vectors = random_vectors(300, 16)
    folder = write_store(tmp_path / "small.index", vectors)
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
    return folder, vectors


@pytest.fixture
def lost(small: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """The same, where hnswlib is no longer installed."""
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    return small


def _graphs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("hnsw-*")}


@pytest.mark.parametrize("command", [["recommend", "--history", "item-5", "-k", "3"], ["similar", "item-5", "-k", "3"]])
def test_a_large_index_is_scanned_and_the_command_says_so_once(large: Path, command: list[str]) -> None:
    done = watched(command[0], large, *command[1:], "--json", without="hnswlib")
    assert done.code == 0, done.err
    assert done.err.count("Note: ") == 1
    assert f"{EXACT_LIMIT + 1:,} vectors" in done.err
    assert "the answers are the same, only slower" in done.err
    assert INSTALL in done.err
    assert done.json == watched(command[0], large, *command[1:], "--json").json


def test_what_does_not_search_says_nothing(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "items.csv"
    for command in (["info", large], ["export", large, out, "--format", "csv"]):
        done = watched(*command, without="hnswlib")
        assert done.code == 0, done.err
        assert "hnswlib" not in done.err


def test_many_questions_are_scans_and_one_warning(lost: tuple[Path, np.ndarray]) -> None:
    folder, vectors = lost
    exact = ExactIndex(vectors)
    with StoreReader(folder) as store, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        index = open_index(store, exact_limit=200)
        for query in vectors[:120]:
            assert index.top(query, 5)[0].tolist() == exact.top(query, 5)[0].tolist()
        assert index.name == "exact"
    assert [warning.category for warning in said] == [Vlm4RecWarning]
    assert "300 vectors" in str(said[0].message)


def test_a_batch_of_histories_says_it_too(lost: tuple[Path, np.ndarray]) -> None:
    with Recommender.open(lost[0], exact_limit=200) as shop, pytest.warns(Vlm4RecWarning, match="hnswlib"):
        (answer,) = shop.recommend_many([History("ada", ["item-5"])], k=3)
    assert len(answer.items) == 3


def test_a_graph_that_could_not_be_built_is_built_by_the_next_run(
    small: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = small
    for path in folder.glob("hnsw-*"):
        path.unlink()
    with StoreReader(folder) as store:
        with monkeypatch.context() as without, pytest.warns(Vlm4RecWarning, match="no search graph is written") as said:
            without.setitem(sys.modules, "hnswlib", None)
            refresh(store, exact_limit=0)
        assert INSTALL in str(said[0].message)
        assert not _graphs(folder)
        refresh(store, exact_limit=0)
    assert len(_graphs(folder)) == 2


def test_a_whole_graph_is_kept_and_nothing_is_said(lost: tuple[Path, np.ndarray]) -> None:
    before = _graphs(lost[0])
    with StoreReader(lost[0]) as store, warnings.catch_warnings():
        warnings.simplefilter("error")
        refresh(store, exact_limit=0)
    assert _graphs(lost[0]) == before


def test_verify_finds_no_fault_and_repair_keeps_what_it_could_not_make_anew(
    own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "EXACT_LIMIT", _FEW)
    with StoreReader(own_index) as store:
        refresh(store, exact_limit=0)
    before = _graphs(own_index)
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.warns(Vlm4RecWarning, match="hnswlib"):
        report = IndexFolder(own_index).verify()
    assert report.ok, report.findings
    assert report.hnsw_recall is None
    repaired(own_index)
    assert _graphs(own_index) == before


def test_indexing_more_than_are_scanned_by_choice_works_and_says_so(
    shop: Path, tmp_path: Path, captioner: LlamaCaptioner, encoder: OnnxEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "EXACT_LIMIT", _FEW)
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.warns(Vlm4RecWarning, match="no search graph is written"):
        report = build_index(shop, tmp_path / "x.index", captioner=captioner, encoder=encoder, encoded_text="title")
    assert report.items > _FEW
    assert not _graphs(tmp_path / "x.index")


def test_an_export_for_hnswlib_says_which_command_installs_it(
    shop_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(MissingDependencyError, match=r"vlm4rec-edge\[hnsw\]"):
        export_items(shop_index, tmp_path / "out", "hnswlib")
    assert not (tmp_path / "out").exists()
