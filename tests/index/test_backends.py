"""A back end, ours or of an installed package, keeps the contract, and an index keeps the back end that built it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from made_plugins import MadeCaptioner, MadeEncoder
from made_store import random_vectors, write_store
from pictures import swatches
from program import watched

from vlm4rec_edge import Recommender, Vlm4RecWarning, build_index, describe_index
from vlm4rec_edge.errors import MissingDependencyError, ModelError, StoreError
from vlm4rec_edge.index import ExactIndex, IndexBackend, files, load_index, open_backend, open_index, refresh
from vlm4rec_edge.index.check import check_graph
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
        is_ours = (group, name) == ("vlm4rec_edge.indexes", "matrix")
        return [EntryPoint(name, f"{__name__}:open_matrix", group)] if is_ours else []

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
        (_Distances, "a score is not an inner product"),
        (_Far, "rows for|of the nearest are found"),
        (_Trusting, "load takes the file of other vectors"),
        (_Forgetful, "gives other answers than before"),
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


class _Broken(SavedMatrix):
    """A third party's whose methods fail where a test says so."""

    failing = ""

    def __getattribute__(self, name: str) -> object:
        if name == type(self).failing:
            raise ValueError(f"no {name} today")
        return super().__getattribute__(name)


def _announced(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("matrix", value, "vlm4rec_edge.indexes")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group, name="": [point] if "indexes" in group else [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:open_matrix", r"matrix \(no_such_module:open_matrix\) cannot be imported: No module"),
        ("failing_module:open_matrix", r"cannot be imported: .*out of order"),
        (f"{__name__}:no_such_name", "cannot be imported"),
        (f"{__name__}:write_store", "cannot be opened with ''"),
        (f"{__name__}:open_broken", "cannot load|cannot search|cannot be opened"),
    ],
)
@pytest.mark.parametrize("failing", ["name", "load", "search"])
def test_a_back_end_that_is_broken_is_one_warning_and_a_scan(
    value: str, message: str, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_module.py").write_text("raise RuntimeError('out of order')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    vectors = random_vectors(200)
    folder = write_store(tmp_path / "store", vectors)
    _announced(monkeypatch, f"{__name__}:open_matrix")
    with StoreReader(folder) as store:
        refresh(store, "matrix", exact_limit=0)
    _announced(monkeypatch, value)
    monkeypatch.setattr(_Broken, "failing", failing)
    exact = ExactIndex(vectors)
    with StoreReader(folder) as store, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        index = open_index(store, exact_limit=0, graph_after=2)
        for query in vectors[:10]:
            assert index.top(query, 5)[0].tolist() == exact.top(query, 5)[0].tolist()
        assert index.name == "exact"
    with pytest.warns(Vlm4RecWarning, match=message):
        warnings.warn_explicit(said[0].message, Vlm4RecWarning, "", 0)
    assert [warning.category for warning in said] == [Vlm4RecWarning]
    assert "matrix" in str(said[0].message)


def open_broken(_: str) -> SavedMatrix:
    """What the entry point of a broken package names."""
    return _Broken()


def test_a_back_end_that_cannot_build_is_a_warning_and_the_run_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _announced(monkeypatch, f"{__name__}:open_broken")
    monkeypatch.setattr(_Broken, "failing", "settings")
    folder = write_store(tmp_path / "store", random_vectors(200))
    with StoreReader(folder) as store, pytest.warns(Vlm4RecWarning, match="matrix"):
        refresh(store, "matrix", exact_limit=0)
    monkeypatch.setattr(_Broken, "save", lambda *_: 1 // 0)
    monkeypatch.setattr(_Broken, "failing", "")
    with StoreReader(folder) as store, pytest.warns(Vlm4RecWarning, match="matrix cannot build or save: ZeroDivision"):
        refresh(store, "matrix", exact_limit=0)
    assert not list(folder.glob("matrix-*"))


def test_verify_of_an_index_with_a_broken_back_end_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "EXACT_LIMIT", 100)
    folder = write_store(tmp_path / "store", random_vectors(200))
    _announced(monkeypatch, "no_such_module:open_matrix")
    (folder / f"matrix-{'0' * 16}-1-200.bin").write_bytes(b"x")
    with StoreReader(folder) as store, pytest.warns(Vlm4RecWarning, match="no_such_module"):
        assert check_graph(store) == (None, [])


@pytest.mark.usefixtures("installed")
def test_the_back_end_that_a_run_chooses_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swatches(tmp_path / "photos", 4)
    folder, models = tmp_path / "shop.index", {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    build_index(tmp_path / "photos", folder, index_backend="matrix", **models)
    assert (describe_index(folder).method, describe_index(folder).index_backend) == ("exact", "matrix")
    assert not list(folder.glob("*.bin")), "so few are scanned"
    monkeypatch.setattr(files, "EXACT_LIMIT", 2)
    build_index(tmp_path / "photos", folder, **models)
    assert {path.name.partition("-")[0] for path in folder.glob("*.bin")} == {"matrix"}
    build_index(tmp_path / "photos", folder, index_backend="exact", **models)
    assert {path.name.partition("-")[0] for path in folder.glob("*.bin")} == {"exact"}


def test_a_back_end_that_is_asked_for_and_cannot_be_used_is_an_error_before_anything_is_captioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swatches(tmp_path / "photos", 2)
    models = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    with pytest.raises(MissingDependencyError, match="no_such"):
        build_index(tmp_path / "photos", tmp_path / "index", index_backend="no_such", **models)
    with pytest.raises(ModelError, match="is not a name of an index back end"):
        build_index(tmp_path / "photos", tmp_path / "index", index_backend="No-Such", **models)
    _announced(monkeypatch, "no_such_module:open_matrix")
    with pytest.raises(ModelError, match="cannot be imported"):
        build_index(tmp_path / "photos", tmp_path / "index", index_backend="matrix", **models)
    assert not (tmp_path / "index").exists()


def test_the_command_chooses_a_back_end(tmp_path: Path) -> None:
    swatches(tmp_path / "photos", 2)
    rows = "".join(f"{path.stem},a photo\n" for path in (tmp_path / "photos").iterdir())
    (tmp_path / "captions.csv").write_text(f"id,caption\n{rows}", encoding="utf-8")
    out = tmp_path / "shop.index"
    given = ["index", tmp_path / "photos", "--out", out, "--captions", tmp_path / "captions.csv"]
    done = watched(*given, "--index-backend", "exact")
    assert done.code == 0, done.err
    assert watched(*given).code == 0
    assert watched("info", out, "--json").json["index_backend"] == "exact"
    done = watched(*given, "--index-backend", "annoy")
    assert (done.code, "choose one of exact, hnsw" in done.err) == (1, True)
