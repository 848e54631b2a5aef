"""`items` lists what an index or a bundle holds: all of it, page by page, or what a filter admits."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from program import program

from vlm4rec_edge import Recommender, list_items, make_bundle
from vlm4rec_edge.errors import UsageError

COUNT = 23
IDS = sorted(f"item-{row}" for row in range(COUNT))


@pytest.fixture(scope="module", params=["index", "bundle"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with columns and captions, and a bundle of it."""
    folder = tmp_path_factory.mktemp("items")
    attributes = {
        f"item-{row}": {"price": str(row), "note": "x" * 100, **{f"column {n}": "y" * 20 for n in range(8)}}
        for row in range(COUNT)
    }
    index = write_store(
        folder / "s", random_vectors(COUNT), attributes=attributes, captions={name: f"A red {name}." for name in IDS}
    )
    if request.param == "bundle":
        make_bundle(index, folder / "s.zip")
        return folder / "s.zip"
    return index


def test_pages_of_any_length_hold_every_item_once(shipped: Path) -> None:
    for limit in (1, 5, 22, 23, 24, None):
        found, after = [], None
        while True:
            page = list_items(shipped, after=after, limit=limit)
            assert page.total == COUNT
            found += [item.id for item in page.items]
            if (after := page.next_after) is None:
                break
        assert found == IDS


def test_the_items_are_those_of_the_index_and_json_says_so(shipped: Path) -> None:
    done = program("items", shipped, "--where", "price < 3", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert document == list_items(shipped, where="price < 3").to_dict()
    assert [item["id"] for item in document["items"]] == ["item-0", "item-1", "item-2"]
    assert (document["total"], document["next_after"], document["unknown"]) == (3, None, [])
    with Recommender.open(shipped) as shop:
        for item in document["items"]:
            held = shop.store.items_of([item["id"]])[item["id"]]
            told = {name: getattr(held, name) for name in ("id", "title", "caption", "image", "attributes")}
            assert item == {**told, "photos": []}


def test_people_see_a_table_and_how_to_go_on(shipped: Path) -> None:
    done = program("items", shipped, "--limit", "4", "--where", "price >= 1")
    assert done.code == 0
    header, *rows = done.out.splitlines()
    assert header.split()[0] == "item"
    assert header.rstrip().endswith("caption")
    assert [row.split()[0] for row in rows] == IDS[1:5]
    assert all("A red item" in row and len(row) <= 160 for row in rows)
    assert "4 of 22 items." in done.err
    assert f"items {shipped} --where 'price >= 1' --after {IDS[4]}" in done.err
    assert "Columns that are not shown: " in done.err
    chosen = program("items", shipped, "--columns", "price", "--after", IDS[-2])
    assert chosen.out.splitlines()[0].split() == ["item", "price", "caption"]
    assert chosen.err == f"1 of {COUNT} items.\n"


@pytest.mark.parametrize(
    ("rest", "code", "says"),
    [
        (["--where", "prize < 3"], 2, "did you mean 'price'"),
        (["--where", "id = 'nope'"], 3, "holds no item 'nope'"),
        (["--columns", "size"], 2, "There is no column 'size' to show"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_what_cannot_be_listed_is_named(shipped: Path, rest: list[str], code: int, says: str) -> None:
    done = program("items", shipped, *rest)
    assert done.code == code
    assert says in done.err


@pytest.mark.parametrize("limit", [0, -1, 2.5, "3"])
def test_another_limit_than_a_whole_number_is_a_sentence(shipped: Path, limit: object) -> None:
    with pytest.raises(UsageError, match="ask for at least 1 item, a whole number"):
        list_items(shipped, limit=limit)  # type: ignore[arg-type]


def test_messages_about_unknown_ids_lead_to_the_list(shipped: Path) -> None:
    done = program("similar", shipped, "zzz")
    assert f"`vlm4rec-edge items {shipped}` lists what it holds" in done.err
