"""A LanceDB table under writers: what is removed stays away, what is new is seen, and nobody sees half of anything."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_items import DIMENSIONS, NOTES, batch_of
from made_store import random_vectors, write_store

from vlm4rec_edge import IndexFolder, Recommender, describe_index, export_to_lancedb
from vlm4rec_edge.errors import MissingDependencyError, StoreError, UsageError
from vlm4rec_edge.index import ExactIndex
from vlm4rec_edge.items import StoredItem, StoredPhoto
from vlm4rec_edge.lance.database import TABLE, connect
from vlm4rec_edge.lance.reader import LanceReader
from vlm4rec_edge.lance.search import LanceIndex
from vlm4rec_edge.lance.writer import finish, remove_items, upsert_items, write_table
from vlm4rec_edge.recommend.source import generation_of
from vlm4rec_edge.recommend.where import Compare, Contains, Not
from vlm4rec_edge.store.schema import DATABASE_NAME

pytest.importorskip("lancedb", reason="lancedb is not installed")
HERE = Path(__file__).parent


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A table of ten items."""
    place = f"lancedb://{tmp_path / 'shop'}"
    assert write_table(place, [batch_of([f"old-{number}" for number in range(10)])], NOTES, []) == 10
    return place


def held(address: str) -> set[str]:
    """The ids of a table, of which none comes twice."""
    with LanceReader(address) as table:
        ids = list(table.ids())
    assert len(ids) == len(set(ids))
    return set(ids)


def test_what_was_removed_never_comes_back_and_what_is_new_is_seen_after_a_reload(address: str) -> None:
    with Recommender.open(address) as shop:
        asked = {hit.item_id for hit in shop.similar("old-0", 20)}
        assert asked == {f"old-{number}" for number in range(1, 10)}
        assert remove_items(address, ["old-3", "old-4", "none"]) == 2
        items, vectors = batch_of(["old-5", "new-1"], seed=1, price="7")
        upsert_items(address, items, vectors, space="e")
        assert {hit.item_id for hit in shop.similar("old-0", 20)} == asked
        assert shop.reload_if_changed()
        assert not shop.reload_if_changed()
        for _ in range(2):
            found = {hit.item_id: hit for hit in shop.similar("old-0", 20)}
            assert set(found) == asked - {"old-3", "old-4"} | {"new-1"}
            assert found["new-1"].attributes == found["old-5"].attributes == {"price": "7"}
            assert np.allclose(shop.vectors(["old-5", "new-1"]), vectors, atol=1e-6)
            assert [item.id for item in shop.items(where="price = 7").items] == ["new-1", "old-5"]
            finish(address)
            shop.reload()


def test_a_table_written_again_is_another_one_even_at_the_same_version(tmp_path: Path) -> None:
    batches = [batch_of(["a", "b"])]
    generations = set()
    for name in ("one", "two"):
        write_table(f"lancedb://{tmp_path / name}", batches, NOTES, [])
        generations.add(generation_of(f"lancedb://{tmp_path / name}"))
    assert len(generations) == 2
    assert generation_of(f"lancedb://{tmp_path / 'none'}") == ""


def test_who_reads_goes_on_while_the_table_is_replaced(address: str) -> None:
    with Recommender.open(address) as shop:
        write_table(address, [batch_of(["a", "b"])], NOTES, [])
        assert shop.store.count() == 10
        assert len(shop.similar("old-0", 20)) == 9
        assert shop.reload_if_changed()
        assert [hit.item_id for hit in shop.similar("a")] == ["b"]


def test_readers_never_see_half_of_a_commit(address: str) -> None:
    stop = threading.Event()
    counts: list[int] = []
    problems: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                with Recommender.open(address) as shop:
                    count = shop.store.count()
                    assert len(shop.similar("old-0", 100)) == count - 1
                    counts.append(count)
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(4):
            items, vectors = batch_of([f"new-{number}-{place}" for place in range(5)])
            upsert_items(address, items, vectors, space="e")
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert counts
    assert {count % 5 for count in counts} == {0}
    assert len(held(address)) == 30


def test_two_writers_at_once_lose_nothing_and_add_no_item_twice(address: str) -> None:
    problems: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for number in range(4):
                items, vectors = batch_of([f"new-{number + place}" for place in range(5)], seed=seed)
                upsert_items(address, items, vectors, space="e")
                remove_items(address, [f"old-{seed}"])
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=[seed]) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems == []
    assert held(address) == {f"old-{n}" for n in (0, *range(3, 10))} | {f"new-{n}" for n in range(8)}


def _child(*arguments: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, str(HERE / "adds_items.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_a_writer_killed_in_the_middle_leaves_whole_commits_and_nobody_waits(address: str) -> None:
    with _child(address, "e", "new", "1000") as child:
        assert child.stdout is not None
        said = [child.stdout.readline().strip() for _ in range(3)]
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read().split()
    assert said[:3] == ["0", "1", "2"]
    found = held(address)
    told = {f"new-{number}-{place}" for number in said for place in range(5)}
    assert told <= found
    assert len(found) % 5 == 0  # what was under way is in as a whole or not at all
    items, vectors = batch_of(["after"])
    upsert_items(address, items, vectors, space="e")
    finish(address)
    assert held(address) == found | {"after"}


class _StoppedError(Exception):
    """What ends a writing in the middle."""


def test_a_writing_that_fails_leaves_what_was_there(address: str, tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[list[StoredItem], np.ndarray]]:
        yield batch_of(["a"])
        raise _StoppedError

    for place in (address, f"lancedb://{tmp_path / 'new'}"):
        with pytest.raises(_StoppedError):
            write_table(place, failing(), NOTES, [])
    assert len(held(address)) == 10
    with pytest.raises(StoreError, match="There is no index at lancedb://"):
        LanceReader(f"lancedb://{tmp_path / 'new'}")
    assert write_table(f"lancedb://{tmp_path / 'new'}", [batch_of(["a"])], NOTES, []) == 1


def test_the_vector_index_finds_what_a_scan_finds_and_new_items_beside_it(tmp_path: Path) -> None:
    place = f"lancedb://{tmp_path / 'shop'}"
    items, vectors = batch_of([f"i-{number:04d}" for number in range(1200)])
    write_table(place, [(items[:700], vectors[:700]), (items[700:], vectors[700:])], NOTES, [], exact_limit=0)
    remove_items(place, ["i-0007"])
    new, new_vectors = batch_of(["new"])
    upsert_items(place, new, new_vectors, space="e")
    with LanceReader(place) as table:
        index, exact = LanceIndex(table, exact_limit=0), ExactIndex(table.vectors_at(np.arange(table.rows)))
        assert (index.name, LanceIndex(table).name) == ("lancedb", "exact")
        for query in (*vectors[::200], new_vectors[0]):
            rows, scores = index.top(query, 10)
            expected, expected_scores = exact.top(query, 10)
            assert rows.tolist() == expected.tolist()
            assert np.allclose(scores, expected_scores, atol=1e-5)
        condition = table.condition(Compare("title", "<", "title of i-0300"))
        assert condition is not None
        rows, _ = index.top_where(vectors[5], 20, condition)
        everything, _ = exact.top(vectors[5], table.rows)
        titles = {item.row: item.title for item in table.items()}
        assert rows.tolist() == [row for row in everything.tolist() if titles[row] < "title of i-0300"][:20]


def test_info_counts_items_without_a_title_and_reads_no_titles_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"lancedb://{tmp_path / 'shop'}"
    items, vectors = batch_of(["a", "b", "c", "d"])
    items[1:3] = [replace(items[1], title=""), replace(items[2], title="  ")]
    write_table(place, [(items, vectors)], NOTES, [])
    read, texts_of = [], LanceReader.texts_of

    def noted(table: LanceReader, name: str) -> object:
        read.append(name)
        return texts_of(table, name)

    monkeypatch.setattr(LanceReader, "texts_of", noted)
    assert describe_index(place).without_title == 2
    assert "title" not in read


def test_info_counts_a_vector_for_each_item_of_a_table_for_each_has_one(tmp_path: Path) -> None:
    vectors = random_vectors(3)
    # Items of one text share a vector of the index; an item that has no vector is in no table.
    index = write_store(tmp_path / "x.index", vectors, [("a", 0), ("b", 0), ("c", 1), ("none", 2)])
    with closing(sqlite3.connect(index / DATABASE_NAME)) as database:
        database.execute("UPDATE items SET vector_row = NULL WHERE id = 'none'")
        database.commit()
    place = f"lancedb://{tmp_path / 'shop'}"
    export_to_lancedb(index, place)
    assert describe_index(index).vectors == 2
    found = describe_index(place)
    assert (found.items, found.vectors) == (3, 3)
    with LanceReader(place) as table:
        assert table.count_where("vector IS NOT NULL") == found.vectors


def test_an_item_comes_back_as_it_was(tmp_path: Path) -> None:
    place = f"lancedb://{tmp_path / 'shop'}"
    attributes = {
        "": "no name",
        "a.b`\"'%": "x'y",
        "\u00fc": "\u0065\u0301",
        "empty": "",
        "id": "7",
        "title": "of the shop",
    }
    photos = (StoredPhoto("a.png", "first", {"kind": "shirt"}), StoredPhoto("b.png", "second"))
    item = StoredItem(
        "it's \u0065\u0301",
        0,
        "T\u0000t",
        "first second",
        "a.png",
        attributes,
        {"kind": "shirt", "of": ["x", "y"]},
        photos,
    )
    write_table(place, [([item], batch_of(["a"])[1])], NOTES, list(attributes))
    with LanceReader(place) as table:
        assert table.items_of([item.id, "none", "half \ud800"]) == {item.id: item}
        assert list(table.items()) == [item]


def test_texts_in_other_forms_are_filtered_by_their_columns(tmp_path: Path) -> None:
    place = f"lancedb://{tmp_path / 'shop'}"
    items, vectors = batch_of(["a", "b"])
    items = [
        replace(items[0], attributes={"name": "caf\u0065\u0301"}),
        replace(items[1], attributes={"name": "\ufb01ne"}),
    ]
    write_table(place, [(items, vectors)], NOTES, ["name"])
    with LanceReader(place) as table:
        assert table.condition(Compare("name", "=", "caf\u00e9")) is None
        assert table.condition(Contains("name", "fine")) is None
        assert table.condition(Not(Compare("name", ">", 5.0))) is not None
    with Recommender.open(place) as shop:
        assert [item.id for item in shop.items(where="name = 'caf\u00e9'").items] == ["a"]
        assert [item.id for item in shop.items(where="name contains 'FINE'").items] == ["b"]
        assert [item.id for item in shop.items(where="not name > 5").items] == ["a", "b"]


def test_what_does_not_fit_a_table_is_refused(address: str, tmp_path: Path) -> None:
    items, vectors = batch_of(["a", "a"])
    with pytest.raises(UsageError, match="duplicate id"):
        upsert_items(address, items, vectors, space="e")
    with pytest.raises(StoreError, match="another encoder"):
        upsert_items(address, items[:1], vectors[:1], space="other")
    with pytest.raises(UsageError, match=rf"shape \[1, {DIMENSIONS}\], not \[1, 3\]"):
        upsert_items(address, items[:1], vectors[:1, :3], space="e")
    with pytest.raises(UsageError, match="attribute 'price'"):
        write_table(address, [batch_of(["a"], price="1")], NOTES, [])
    with pytest.raises(UsageError, match="holds no vectors of photos"):
        Recommender.open(address, photos_alone=True)
    other = f"lancedb://{tmp_path / 'other'}"
    connect(other).create_table(TABLE, [{"a": 1}])
    for act in (lambda: write_table(other, [batch_of(["a"])], NOTES, []), lambda: LanceReader(other)):
        with pytest.raises((UsageError, StoreError), match="not written by vlm4rec-edge"):
            act()
    remove_items(address, [f"old-{number}" for number in range(10)])
    with pytest.raises(StoreError, match="holds no items"):
        LanceReader(address)


def test_opening_what_is_not_there_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no index at"):
        Recommender.open(f"lancedb://{tmp_path / 'none'}")
    for wrong in ("lancedb://", "lancedb:shop", "lancedb:/shop", "LANCEDB://shop", "lancedb+://shop"):
        with pytest.raises(UsageError, match="is not the address of a LanceDB database"):
            Recommender.open(wrong)
    with pytest.raises(UsageError, match="must be given as a text"):
        Recommender.open(Path("lancedb://shop"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_home_is_written_and_read_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for _ in range(2):  # the second time it is replaced
        assert write_table("lancedb://~/shop", [batch_of(["a"])], NOTES, []) == 1
    assert LanceReader("lancedb://~/shop").count() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_an_error_of_lancedb_is_told_without_lines_of_its_source(tmp_path: Path) -> None:
    place = f"lancedb://{tmp_path / 'shop'}"
    write_table(place, [batch_of(["a"])], NOTES, [])
    for file in (tmp_path / "shop" / "items.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(StoreError, match="Not found") as raised, LanceReader(place) as table:
        list(table.items())
    assert ".rs:" not in str(raised.value)


def test_what_changes_an_index_says_what_to_do_with_a_table(address: str) -> None:
    for place in (address, Path(address)):
        with pytest.raises(UsageError, match="takes its folder; `vlm4rec-edge export` then replaces the table"):
            IndexFolder(place)


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "vlm4rec-edge\[lancedb\]"'):
        Recommender.open(address)


def test_an_index_folder_is_answered_from_without_lancedb(tmp_path: Path) -> None:
    index = write_store(tmp_path / "index", random_vectors(5))
    code = (
        "import sys; from vlm4rec_edge import Recommender, Selection\n"
        f"with Recommender.open({str(index)!r}) as shop:\n"
        "    assert len(shop.recommend(['item-0'], selection=Selection(where=\"id != 'item-1'\"))) == 3\n"
        "print(sorted({'lancedb', 'pyarrow', 'vlm4rec_edge.lance'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
