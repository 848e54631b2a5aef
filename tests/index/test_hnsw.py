"""The graph finds what the scan finds, and is made anew whenever it is not the one that belongs to the vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, unit, write_store

from vlm4rec_edge.index import EXACT_LIMIT, GRAPH_AFTER, ExactIndex, load_index, open_index, refresh
from vlm4rec_edge.store.reader import StoreReader


def _top(folder: Path, query: np.ndarray, count: int) -> tuple[list[int], list[float]]:
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
        index = open_index(store, exact_limit=0, graph_after=0)
        assert index.name == "hnsw"
        rows, scores = index.top(query, count)
        return rows.tolist(), scores.tolist()


def _graph(folder: Path) -> Path:
    (path,) = folder.glob("hnsw-*.bin")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A store of 400 vectors with its graph saved. To be read only."""
    vectors = random_vectors(400)
    folder = write_store(tmp_path_factory.mktemp("made") / "store", vectors)
    _top(folder, vectors[0], 1)
    return folder, vectors


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A store of one's own, with its graph saved, to be damaged."""
    vectors = random_vectors(300, 16)
    folder = write_store(tmp_path / "store", vectors)
    _top(folder, vectors[0], 1)
    return folder, vectors


def test_a_small_store_is_scanned_and_a_large_one_is_not(made: tuple[Path, np.ndarray]) -> None:
    with StoreReader(made[0]) as store:
        assert open_index(store).name == "exact"
        assert open_index(store, exact_limit=400).name == "exact"
        assert open_index(store, exact_limit=399, graph_after=0).name == "hnsw"
    assert EXACT_LIMIT >= 10_000


@pytest.mark.parametrize("count", [1, 10, 100, 400, 1000])
def test_graph_and_scan_give_the_same_answers_on_a_small_catalog(made: tuple[Path, np.ndarray], count: int) -> None:
    folder, vectors = made
    exact = ExactIndex(vectors)
    for query in random_vectors(20, seed=5):
        rows, scores = exact.top(query, count)
        found, found_scores = _top(folder, query, count)
        assert found == rows.tolist()
        np.testing.assert_allclose(found_scores, scores, atol=1e-5)


def test_on_a_larger_catalog_the_graph_misses_next_to_nothing(tmp_path: Path) -> None:
    vectors = random_vectors(3000, 64)
    exact, missed = ExactIndex(vectors), 0
    with StoreReader(write_store(tmp_path / "store", vectors)) as store:
        refresh(store, exact_limit=0)
        index = open_index(store, exact_limit=0, graph_after=0)
        for query in random_vectors(50, 64, seed=9):
            missed += len(set(exact.top(query, 10)[0].tolist()) - set(index.top(query, 10)[0].tolist()))
    assert missed <= 5  # of 500


@pytest.mark.parametrize("kind", ["alike", "groups", "twins"])
def test_every_vector_can_be_asked_for_however_they_lie(tmp_path: Path, kind: str) -> None:
    chance = np.random.default_rng(3)
    if kind == "alike":
        vectors = unit(np.ones((800, 8)) + 1e-4 * chance.normal(size=(800, 8)))
    elif kind == "groups":  # far from each other, so that no link leads from some to the others
        vectors = unit(np.repeat(random_vectors(40, 64), 110, axis=0) + 1e-3 * chance.normal(size=(4400, 64)))
    else:
        vectors = np.repeat(random_vectors(8, 16), 100, axis=0)
    folder = write_store(tmp_path / "store", vectors)
    for count in (10, len(vectors) // 2, len(vectors)):
        rows, scores = _top(folder, vectors[0], count)
        assert len(set(rows)) == count
        assert (np.diff(scores) <= 1e-6).all()


def test_the_graph_is_saved_and_used_again(own: tuple[Path, np.ndarray]) -> None:
    folder, vectors = own
    before = _graph(folder).stat()
    _top(folder, vectors[3], 5)
    assert _graph(folder).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "flipped", "text", "no stamp", "stamp of text"])
def test_a_graph_that_is_not_the_one_that_was_saved_is_made_anew(own: tuple[Path, np.ndarray], damage: str) -> None:
    folder, vectors = own
    graph = _graph(folder)
    stamp, whole = graph.with_suffix(".json"), graph.read_bytes()
    if damage == "missing":
        graph.unlink()
    elif damage == "no stamp":
        stamp.unlink()
    elif damage == "stamp of text":
        stamp.write_text("[]")
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 0x80]) + whole[middle + 1 :]
        graph.write_bytes({"truncated": whole[:middle], "empty": b"", "flipped": flipped, "text": b"no graph"}[damage])
    rows, _ = _top(folder, vectors[7], 10)
    assert rows == ExactIndex(vectors).top(vectors[7], 10)[0].tolist()
    assert len(_graph(folder).read_bytes()) == len(whole)
    assert stamp.is_file()


def test_a_grown_store_never_answers_from_the_old_graph(own: tuple[Path, np.ndarray]) -> None:
    folder, vectors = own
    more = np.concatenate([vectors, random_vectors(50, 16, seed=8)])
    write_store(folder, more)
    for row in (0, 299, 300, 349):
        assert _top(folder, more[row], 1)[0] == [row]


def test_a_store_of_other_vectors_never_answers_from_the_old_graph(own: tuple[Path, np.ndarray]) -> None:
    folder, _ = own
    wider, back = random_vectors(300, 24), random_vectors(300, 16, seed=77)
    write_store(folder, wider)  # another width is another encoder: all vectors are made anew
    assert _top(folder, wider[5], 1)[0] == [5]
    write_store(folder, back)
    assert _top(folder, back[5], 1)[0] == [5]


def test_the_first_queries_are_scans_and_then_the_graph_answers(own: tuple[Path, np.ndarray]) -> None:
    folder, vectors = own
    with StoreReader(folder) as store:
        index = open_index(store, exact_limit=0)
        methods = []
        for query in vectors[: GRAPH_AFTER + 1]:
            methods.append(index.name)
            index.top(query, 3)
    assert methods == ["exact"] * GRAPH_AFTER + ["hnsw"]


def test_without_a_graph_every_query_is_a_scan_and_nothing_is_written(own: tuple[Path, np.ndarray]) -> None:
    folder, vectors = own
    _graph(folder).unlink()
    with StoreReader(folder) as store:
        index = open_index(store, exact_limit=0, graph_after=0)
        assert index.name == "exact"
        assert index.top(vectors[3], 1)[0].tolist() == [3]
    assert not list(folder.glob("hnsw-*.bin"))


def test_a_few_new_rows_are_scanned_beside_the_old_graph(own: tuple[Path, np.ndarray]) -> None:
    folder, vectors = own
    before = _graph(folder).stat()
    more = np.concatenate([vectors, random_vectors(50, 16, seed=8)])
    write_store(folder, more)
    exact = ExactIndex(more)
    for row in range(0, 350, 7):
        assert _top(folder, more[row], 10)[0] == exact.top(more[row], 10)[0].tolist()
    assert _graph(folder).stat().st_mtime_ns == before.st_mtime_ns


def test_many_new_rows_make_the_graph_grow(own: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, vectors = own
    monkeypatch.setattr("vlm4rec_edge.index.files.TAIL_ROWS", 49)
    more = np.concatenate([vectors, random_vectors(50, 16, seed=8)])
    write_store(folder, more)
    exact = ExactIndex(more)
    for row in range(0, 350, 7):
        assert _top(folder, more[row], 10)[0] == exact.top(more[row], 10)[0].tolist()
    assert _graph(folder).name.endswith("-350.bin")


def test_a_graph_of_other_vectors_under_the_right_name_is_not_used(own: tuple[Path, np.ndarray]) -> None:
    """A folder put together from two backups."""
    folder, _ = own
    with StoreReader(folder) as store:
        path = folder / store.vector_file
        path.write_bytes(random_vectors(300, 16, seed=9).tobytes())
    with StoreReader(folder) as store:
        assert load_index(store) is None


@pytest.mark.parametrize("count", [1, 10, 500])
def test_many_queries_at_once_are_answered_as_one_by_one(tmp_path: Path, count: int) -> None:
    """With rows after the graph, too, which are scanned; and with more asked for than the links lead to."""
    vectors = random_vectors(400, 16)
    folder = write_store(tmp_path / "store", vectors[:350])
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
    write_store(folder, vectors)
    queries = random_vectors(30, 16, seed=6)
    with StoreReader(folder) as store:
        index = open_index(store, exact_limit=0, graph_after=10**6)
        assert index.name == "exact"
        graph = index.saved()
        assert graph is not None
        assert index.name == "hnsw"
        answers = graph.top_many(queries, count)
        assert len(answers) == len(queries)
        for query, (rows, scores) in zip(queries, answers, strict=True):
            expected_rows, expected_scores = graph.top(query, count)
            assert rows.tolist() == expected_rows.tolist()
            np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


def test_an_index_without_a_graph_has_none_to_offer(tmp_path: Path) -> None:
    with StoreReader(write_store(tmp_path / "store", random_vectors(30))) as store:
        index = open_index(store, exact_limit=0)
        assert index.saved() is None
        assert index.name == "exact"
