"""A back end, ours or of an installed package, keeps the contract, and an index keeps the back end that built it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, write_store

from vlm4rec_edge import Recommender, Vlm4RecWarning
from vlm4rec_edge.errors import MissingDependencyError, StoreError
from vlm4rec_edge.index import ExactIndex, IndexBackend, load_index, open_backend, open_index, refresh
from vlm4rec_edge.index.contract import check_backend
from vlm4rec_edge.index.hnsw import HnswIndex
from vlm4rec_edge.store.reader import StoreReader


class SavedMatrix(ExactIndex):
    """A third party's: it scans, but what it loads it compares with what it saved."""

    name = "matrix"

    def save(self, path: Path) -> None:
        """Write all vectors."""
        path.write_bytes(np.asarray(self._vectors).tobytes())

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Take the vectors, if they are those of the file."""
        if path.read_bytes() != np.asarray(vectors).tobytes():
            raise StoreError(f"{path} is of other vectors.")
        self.build(vectors)


def open_matrix(argument: str) -> SavedMatrix:
    """What the entry point of the third party names."""
    assert argument == ""
    return SavedMatrix()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third party's package is installed."""

    def entry_points(*, group: str, name: str = "matrix") -> list[EntryPoint]:
        assert group == "vlm4rec_edge.indexes"
        return [EntryPoint(name, f"{__name__}:open_matrix", group)] if name == "matrix" else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.parametrize("make", [ExactIndex, HnswIndex, SavedMatrix])
def test_it_keeps_the_contract(make: Callable[[], IndexBackend], tmp_path: Path) -> None:
    check_backend(make, tmp_path)


class _Unsorted(SavedMatrix):
    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(rows[::-1], scores[::-1]) for rows, scores in super().search(queries, count)]


class _Short(SavedMatrix):
    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return super().search(queries, min(count, 20))


class _Distances(SavedMatrix):
    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(rows, scores - 1) for rows, scores in super().search(queries, count)]


class _Far(SavedMatrix):
    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(rows[5:], scores[5:]) for rows, scores in super().search(queries, min(count, len(self._vectors)) + 5)]


class _Trusting(SavedMatrix):
    def load(self, path: Path, vectors: np.ndarray) -> None:
        self.build(vectors)


class _Forgetful(SavedMatrix):
    def load(self, path: Path, vectors: np.ndarray) -> None:
        super().load(path, vectors)
        self.build(vectors[::-1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_Unsorted, "the best does not come first"),
        (_Short, "20 rows for 300"),
        (_Distances, "a score is no inner product"),
        (_Far, "rows for|of the nearest are found"),
        (_Trusting, "load takes the file of other vectors"),
        (_Forgetful, "answers otherwise than before"),
    ],
)
def test_who_breaks_the_contract_is_told_where(make: Callable[[], IndexBackend], message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        check_backend(make, tmp_path)


@pytest.mark.usefixtures("installed")
def test_an_index_keeps_the_back_end_that_it_was_built_with(tmp_path: Path) -> None:
    vectors = random_vectors(200, 16)
    folder = write_store(tmp_path / "store", vectors)
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
        refresh(store, "matrix", exact_limit=0)
        assert {path.name.partition("-")[0] for path in folder.glob("*.bin")} == {"matrix"}
    write_store(folder, np.concatenate([vectors, random_vectors(20, 16, seed=2)]))
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
        assert {path.name.partition("-")[0] for path in folder.glob("*.bin")} == {"matrix"}
        index = open_index(store, exact_limit=0, graph_after=0)
        assert index.name == "matrix"
        assert index.top(np.asarray(store.vectors[210]), 1)[0].tolist() == [210], (
            "rows after those of the file count too"
        )


@pytest.mark.usefixtures("installed")
def test_an_index_may_be_searched_by_a_back_end_of_ones_choice(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    with StoreReader(folder) as store:
        refresh(store, "matrix", exact_limit=0)
    with Recommender.open(folder, exact_limit=0, backend="matrix") as shop:
        for number in range(60):
            shop.similar(f"item-{number}", 1)
        assert shop.method == "matrix"


def test_the_scan_is_a_choice_too_and_stays_one(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    with StoreReader(folder) as store:
        refresh(store, "exact", exact_limit=0)
        refresh(store, exact_limit=0)
        assert not list(folder.glob("hnsw-*"))
        assert open_index(store, exact_limit=0, graph_after=0).name == "exact"


def test_a_back_end_that_is_gone_is_a_warning_and_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    with monkeypatch.context() as before, StoreReader(folder) as store:
        before.setattr("importlib.metadata.entry_points", lambda **_: [EntryPoint("m", f"{__name__}:open_matrix", "g")])
        refresh(store, "matrix", exact_limit=0)
    kept = sorted(path.name for path in folder.iterdir())
    with StoreReader(folder) as store:
        with pytest.raises(MissingDependencyError, match="No installed package has an index back end 'matrix'"):
            load_index(store)
        index = open_index(store, exact_limit=0)
        with pytest.warns(Vlm4RecWarning, match=r"200 vectors .* back end 'matrix'"):
            assert index.top(np.asarray(store.vectors[7]), 1)[0].tolist() == [7]
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_repairing_makes_the_index_of_the_same_back_end_anew(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
        (graph,) = folder.glob("hnsw-*.bin")
        before = graph.stat().st_mtime_ns
        refresh(store, exact_limit=0, anew=True)
        assert graph.stat().st_mtime_ns != before
        refresh(store, anew=True)
        assert not list(folder.glob("hnsw-*")), "an index that is scanned by choice needs no file"


def test_files_of_the_folder_that_are_no_index_are_left_alone(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    note = folder / "answers-of-may-3.json"
    note.write_text("{}")
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0, anew=True)
    assert note.exists()


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(MissingDependencyError, match="choose one of exact, hnsw"):
        open_backend("annoy")
