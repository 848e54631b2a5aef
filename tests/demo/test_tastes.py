"""The tastes of the demo are rules over the table, and the made shoppers are drawn by them alone."""

from __future__ import annotations

import csv

import pytest

from vlm4rec_edge.demo.shop_files import SHOP, items_of
from vlm4rec_edge.demo.tastes import BOUGHT, HISTORIES, TASTES, is_for, made_histories, members

OCCASIONS = [taste for taste in TASTES if taste.kind == "occasion"]


@pytest.fixture(scope="module")
def items():
    with (SHOP / "items.csv").open(encoding="utf-8", newline="") as stream:
        return items_of(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("occasion", "columns", "belongs"),
    [
        ("hiking", {"kind": "boots"}, True),
        ("hiking", {"kind": "Hiking boots"}, True),
        ("hiking", {"kind": "blazer"}, False),
        ("beach", {"kind": "swimsuit", "colour": "red"}, True),
        ("office", {"kind": "shirt"}, True),
        ("office", {"kind": "T-shirt"}, False),
        ("evening", {"kind": "evening gown"}, True),
        ("evening", {"kind": "summer dress"}, False),
        ("hiking", {}, False),
        # A column that says it goes before the kind.
        ("hiking", {"kind": "boots", "occasion": "evening"}, False),
        ("evening", {"kind": "boots", "occasion": "Evening out"}, True),
        ("office", {"kind": "boots", "occasion": "homework"}, False),
        ("office", {"kind": "boots", "occasion": "every day, the office"}, True),
        ("beach", {"kind": "swimsuit", "occasion": ""}, False),
    ],
)
def test_an_item_is_for_an_occasion_by_its_column_or_else_by_its_kind(occasion, columns, belongs):
    assert is_for(occasion, columns) is belongs


def test_there_are_four_occasions_and_a_colour_each_with_its_shopper():
    assert len(OCCASIONS) >= 4
    assert [taste.name for taste in TASTES if taste.kind == "colour"] == ["blue"]
    assert len({taste.shopper for taste in TASTES}) == len({taste.name for taste in TASTES}) == len(TASTES)
    blue = TASTES[-1]
    assert [blue.holds({"colour": colour}) for colour in ("Dark blue", "light blue", "blue", "green", "")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_the_shop_has_more_of_every_taste_than_a_shopper_buys(items):
    for taste in TASTES:
        assert BOUGHT < len(members(taste, items)) < len(items) / 2


@pytest.mark.parametrize("taste", TASTES, ids=lambda taste: taste.name)
def test_made_shoppers_buy_of_their_taste_things_that_have_nothing_else_in_common(items, taste):
    histories = made_histories(taste, items)
    columns = dict(items)
    of_taste = set(members(taste, items))
    assert len(histories) == HISTORIES
    for history in histories:
        assert len(set(history)) == len(history) == BOUGHT
        assert set(history) <= of_taste
        assert len({columns[item]["kind"] for item in history}) == BOUGHT
        if taste.kind == "occasion":
            assert len({columns[item]["colour"] for item in history}) == BOUGHT
    assert len({item for history in histories for item in history}) == len(of_taste), "all of it is bought by somebody"
    assert len({tuple(history) for history in histories}) > HISTORIES / 2


def test_the_same_table_gives_the_same_shoppers_and_the_first_of_many_is_the_one_alone(items):
    taste = TASTES[0]
    assert made_histories(taste, items) == made_histories(taste, items[::-1])
    assert made_histories(taste, items, count=1) == made_histories(taste, items)[:1]
    assert [len(history) for history in made_histories(taste, items, count=3, bought=6)] == [6, 6, 6]


def test_a_taste_of_few_kinds_is_filled_up_and_one_of_too_few_items_has_no_shoppers():
    few = [(f"boots-{number}", {"kind": "boots", "colour": "red"}) for number in range(BOUGHT + 1)]
    taste = TASTES[0]
    assert all(len(set(history)) == BOUGHT for history in made_histories(taste, few))
    assert made_histories(taste, few[:BOUGHT]) == []
