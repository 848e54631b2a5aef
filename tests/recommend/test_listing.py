"""An open recommender lists its items and columns, and takes up what was written when it is asked to look."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_shop import write_made_shop
from made_store import random_vectors, write_store

from vlm4rec_edge import Recommender, list_items, make_bundle, state_of
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.listing import containing
from vlm4rec_edge.store.lock import WriterLock, writer_of


@pytest.fixture(scope="module", params=["index", "bundle"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made shop, as an index and as a bundle."""
    folder = tmp_path_factory.mktemp("listing")
    index = write_made_shop(folder / "s")
    if request.param == "bundle":
        make_bundle(index, folder / "s.zip")
        return folder / "s.zip"
    return index


@pytest.mark.parametrize("where", [None, "audience = 'Kids'"])
def test_pages_by_place_and_by_id_hold_every_item_once(shipped: Path, where: str | None) -> None:
    with Recommender.open(shipped) as shop:
        every = [item.id for item in shop.items(where=where, limit=None).items]
        assert every == sorted(every)
        by_place = [item.id for skip in range(0, 130, 7) for item in shop.items(where=where, skip=skip, limit=7).items]
        by_id, after = [], None
        while True:
            page = shop.items(where=where, after=after, limit=7)
            by_id += [item.id for item in page.items]
            assert page.total == len(every)
            if (after := page.next_after) is None:
                break
        assert by_place == by_id == every
        assert shop.items(where=where, limit=7) == list_items(shipped, where=where, limit=7)


def test_a_page_beyond_the_end_is_empty_and_one_before_the_beginning_is_refused(shipped: Path) -> None:
    with Recommender.open(shipped) as shop:
        assert shop.items(skip=10_000).items == ()
        with pytest.raises(UsageError, match="skip is -1"):
            shop.items(skip=-1)


def test_items_are_listed_by_their_ids_in_the_order_given(shipped: Path) -> None:
    with Recommender.open(shipped) as shop:
        assert [item.id for item in shop.listed(["0003-1", "nobody", "0000-0"])] == ["0003-1", "0000-0"]


def test_a_text_is_looked_for_in_ids_titles_and_captions_and_is_no_filter(shipped: Path) -> None:
    with Recommender.open(shipped) as shop:
        found = shop.items(where=containing("it's 0003-"), limit=None).items
        assert [item.id for item in found] == ["0003-2"]
        assert shop.items(where=containing("x' or id contains '")).total == 0


def test_columns_tell_their_values_and_numbers_their_range(shipped: Path) -> None:
    with Recommender.open(shipped) as shop:
        columns = {column.name: column for column in shop.columns()}
        items = shop.items(limit=None).items
    assert "id" not in columns
    of_audience = [item.attributes.get("audience", "") for item in items]
    assert dict(columns["audience"].values) == {
        name: of_audience.count(name) for name in ("Menswear", "Ladieswear", "Kids")
    }
    assert columns["audience"].missing == of_audience.count("")
    assert columns["price"].least is None, "'ask us' is no number"
    sold = [int(item.attributes["sold"]) for item in items]
    assert (columns["sold"].least, columns["sold"].most) == (min(sold), max(sold))
    assert columns["sold"].distinct == len(set(sold))


def test_what_was_written_is_taken_up_when_it_looks_and_nothing_is_opened_where_nothing_was(tmp_path: Path) -> None:
    vectors = random_vectors(20)
    folder = write_store(tmp_path / "s", vectors, [(f"item-{row}", row) for row in range(10)])
    with Recommender.open(folder) as shop:
        before, store = shop.generation, shop.store
        assert not shop.reload_if_changed()
        assert (shop.generation, shop.store) == (before, store)
        write_store(folder, vectors)
        assert shop.items().total == 10
        assert shop.reload_if_changed()
        assert shop.generation != before
        assert shop.items().total == 20
        assert not shop.reload_if_changed()


def test_two_that_opened_the_same_moment_call_it_by_the_same_name(shipped: Path) -> None:
    with Recommender.open(shipped) as one, Recommender.open(shipped) as other:
        assert one.generation == other.generation != ""


def test_the_state_names_the_writer_while_there_is_one(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", random_vectors(5))
    assert state_of(folder).writer == ""
    lock = WriterLock(folder)
    try:
        assert state_of(folder).writer.startswith("process ")
    finally:
        lock.release()
    assert state_of(folder).writer == ""


def test_a_writer_that_was_killed_writes_no_more(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    said = (tmp_path / "writer.txt").read_text()
    lock.release()
    number = said.split()[1]
    (tmp_path / "writer.txt").write_text(said.replace(number, "99999999"))
    assert writer_of(tmp_path) == ""
