"""One opened index folder is used for one thing after another."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_plugins import MadeCaptioner, MadeEncoder

from vlm4rec_edge import Failure, IndexFolder, Item, StoreError, UsageError
from vlm4rec_edge.info import describe_index
from vlm4rec_edge.store.reader import StoreReader


@pytest.fixture
def index(photos: Path, out: Path) -> Iterator[IndexFolder]:
    """An index of a few photos, open."""
    with IndexFolder(out) as opened:
        opened.update(photos, captioner=MadeCaptioner(), encoder=MadeEncoder())
        yield opened


def test_one_thing_after_another_and_after_it_was_closed(index: IndexFolder, photos: Path) -> None:
    models: dict[str, Any] = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    assert index.remove(["0001", "none"]).unknown == ("none",)
    assert index.add([Item("0001", photos / "0001.png")], **models).progress.reused == 1
    assert index.verify().ok
    index.close()
    index.close()
    assert index.remove(["0001"]).removed == 1
    with pytest.raises(StoreError, match="is being written by"):
        IndexFolder(index.folder).remove(["0000"])
    assert index.update(photos, **models).items == len([*photos.iterdir()])


def test_what_no_item_has_any_more_is_kept_and_not_counted(index: IndexFolder, photos: Path) -> None:
    def counted() -> tuple[int, ...]:
        found = describe_index(index.folder)
        return found.items, found.captions, found.vectors

    count = len([*photos.iterdir()])
    assert counted() == (count, count, count)
    index.remove(["0001", "0002"])
    assert counted() == (count - 2, count - 2, count - 2)
    with StoreReader(index.folder) as store:
        assert store.counts()["vectors"] == count
    assert index.update(photos, captioner=MadeCaptioner(), encoder=MadeEncoder()).progress.reused == count
    assert counted() == (count, count, count)


def test_each_kind_is_counted_once_for_what_an_index_holds(index: IndexFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    one = StoreReader.one
    monkeypatch.setattr(StoreReader, "one", lambda self, query: (asked.append(query), one(self, query))[1])
    with StoreReader(index.folder) as store:
        counted = store.counts_in_use()
        assert counted == store.counts()
    del asked[:]
    found = describe_index(index.folder)
    assert {name: getattr(found, name) for name in counted} == counted
    assert len([query for query in asked if "count(" in query]) == len(counted) + 1  # and the items without a title


def test_what_is_added_may_have_a_number_as_its_id(index: IndexFolder, photos: Path) -> None:
    new = [Item(7, photos / "0001.png")]  # type: ignore[arg-type]
    report = index.add(new, captioner=MadeCaptioner(), encoder=MadeEncoder())
    assert report.progress.reused == 1
    assert index.remove([7]).removed == 1


@pytest.mark.parametrize(
    "given",
    ["photo.png", Path("photo.png"), 5, Item("one", Path("photo.png")), [{"id": "one"}], [Item(None, Path("p.png"))]],  # type: ignore[arg-type]
)
def test_what_is_no_list_of_items_is_not_added(index: IndexFolder, given: Any) -> None:
    with pytest.raises(UsageError, match=r"Items to add|is not an item id"):
        index.add(given, captioner=MadeCaptioner(), encoder=MadeEncoder())


def test_what_was_opened_before_the_damage_repairs_it(index: IndexFolder, photos: Path) -> None:
    index.remove(["0000"])
    database = index.folder / "store.sqlite"
    with closing(sqlite3.connect(database)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(database.read_bytes())
    for start in range(3 * 4096, len(content), 4096):
        content[start : start + 64] = os.urandom(64)
    database.write_bytes(content)
    models: dict[str, Any] = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    with pytest.raises(StoreError, match="is damaged"):
        index.update(photos, **models)
    assert index.repair(encoder=MadeEncoder()).salvaged_database
    assert index.update(photos, **models).items == len([*photos.iterdir()])
    assert index.verify().ok


def test_failures_that_could_not_be_noted_are_noted_by_the_next_try(
    index: IndexFolder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt in the middle of noting them loses none."""
    assert index._access._writer is not None
    write, tries = index._access._writer.write_failures, 0

    def interrupted_once(failures: list[Failure]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise KeyboardInterrupt
        write(failures)

    monkeypatch.setattr(index._access._writer, "write_failures", interrupted_once)
    report = index.update([Item("gone", photos / "none.png")], captioner=MadeCaptioner(), encoder=MadeEncoder())
    assert report.interrupted
    assert [failure.where for failure in report.all_failures()] == ["gone"]


def test_an_interrupt_while_an_index_is_closed_lets_other_writers_in(index: IndexFolder) -> None:
    class Interrupted:
        """A connection at whose end Ctrl-C is pressed."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.close = connection.close

        def execute(self, *_: object) -> None:
            raise KeyboardInterrupt

    writer = index._access._writer
    assert writer is not None
    assert writer._database._connection is not None
    writer._database._connection = Interrupted(writer._database._connection)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        index.close()
    assert writer is not None  # still held by somebody, as by the traceback of an interrupted notebook cell
    with IndexFolder(index.folder) as other:
        assert other.remove(["0000"]).removed == 1


def test_nothing_to_add_and_nothing_to_remove_are_done_alike(index: IndexFolder, tmp_path: Path) -> None:
    models: dict[str, Any] = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    before = index.verify()
    report = index.add([], **models)
    assert (report.items, report.added, report.replaced, report.failures) == (before.items, (), (), ())
    assert (index.remove([]).removed, index.remove([]).unknown) == (0, ())
    assert index.verify() == before
    for call in (lambda none: none.add([], **models), lambda none: none.remove([])):
        with pytest.raises(StoreError, match="There is no index"):
            call(IndexFolder(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_what_is_added_has_its_id_without_spaces_at_its_ends(index: IndexFolder, photos: Path) -> None:
    report = index.add([Item(" new ", photos / "0001.png")], captioner=MadeCaptioner(), encoder=MadeEncoder())
    assert report.added == ("new",)
    assert index.holds("new")
