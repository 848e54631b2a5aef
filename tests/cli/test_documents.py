"""What a command prints with ``--json`` is what the one public call that it makes returns, as ``to_dict()``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_store import random_vectors, write_store
from program import program

from vlm4rec_edge import EvaluationSettings, ProfileSettings, Recommender, Selection, evaluate, recommend_table
from vlm4rec_edge.interactions import read_interactions

USERS = [f"u{number}" for number in range(9)]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 items with captions and counts."""
    attributes = {f"item-{row}": {"sold": str(row * 7 % 40), "kind": f"k{row // 2}"} for row in range(40)}
    captions = {name: f"A thing of the kind {columns['kind']}." for name, columns in attributes.items()}
    folder = tmp_path_factory.mktemp("documents") / "shop.index"
    return write_store(folder, random_vectors(40), attributes=attributes, captions=captions)


@pytest.fixture(scope="module")
def purchases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine users with six items each, one item unknown, one row without an item."""
    lines = [
        f"{user},item-{(place * 5 + number) % 40},2024-01-0{place + 1}"
        for number, user in enumerate(USERS)
        for place in range(6)
    ]
    table = tmp_path_factory.mktemp("purchases") / "purchases.csv"
    table.write_text("\n".join(["user_id,item_id,date", *lines, "u1,gone,2024-02-01", "u2,,2024-02-01"]) + "\n")
    return table


def _timeless(document: Any) -> Any:
    assert document["seconds"] >= 0
    return {name: value for name, value in document.items() if name != "seconds"}


def test_recommend_and_similar(index: Path) -> None:
    history = ["item-1", "item-2", "nobody"]
    options = ["--disliked", "item-9", "--interests", "2", "--one-per", "kind", "--explain", "-k", "3"]
    with Recommender.open(index) as shop:
        found = shop.recommend(
            history,
            3,
            disliked=["item-9"],
            skip_unknown=True,
            settings=ProfileSettings(interests=2),
            selection=Selection(one_per="kind"),
            explain=True,
        )
        assert program("recommend", index, "--history", ",".join(history), *options, "--json").json == found.to_dict()
        popular = shop.recommend([], 3, popularity="sold")
        assert program("recommend", index, "--popularity", "sold", "-k", "3", "--json").json == popular.to_dict()
        assert program("similar", index, "item-5", "--json").json == shop.similar("item-5").to_dict()
        nothing = shop.similar("item-5", selection=Selection(where="kind = 'none'"))
        assert program("similar", index, "item-5", "--where", "kind = 'none'", "--json").json == nothing.to_dict()
    assert nothing.to_dict()["answered_by"] is None


def test_search(shop_index: Path) -> None:
    with Recommender.open(shop_index) as shop:
        assert program("search", shop_index, "a red dress", "--json").json == shop.search("a red dress").to_dict()


def test_recommend_to_all(index: Path, purchases: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = ["recommend", index, "--histories", purchases, "--out", out, "-k", "3", "--half-life", "2", "--json"]
    printed, table = program(*command).json, out.read_bytes()
    with Recommender.open(index) as shop:
        report = recommend_table(shop, purchases, out, 3, settings=ProfileSettings(half_life=2))
    assert list(printed) == list(report.to_dict())
    assert _timeless(printed) == _timeless(report.to_dict())
    assert (out.read_bytes(), report.is_complete) == (table, False)


def test_evaluate(index: Path, purchases: Path) -> None:
    options = ["--group", "kind", "--half-life", "3", "--metric", "recall@3,mrr", "--resamples", "20", "--seed", "5"]
    printed = program("evaluate", index, "--interactions", purchases, *options, "--json").json
    settings = EvaluationSettings(group="kind", half_life=3, metrics=["recall@3", "mrr"], resamples=20, seed=5)
    told: list[int] = []
    measured = evaluate(index, purchases, settings=settings, on_start=lambda total: told.append(total) or told.append)
    assert list(printed) == list(measured.to_dict())
    assert _timeless(printed) == _timeless(measured.to_dict())
    total, *done = told
    assert done == sorted(done)
    assert done[-1] == total == 3 * sum(table.users for table in measured.tables)
    again = evaluate(index, read_interactions(purchases)[0], settings=settings)
    assert again.to_dict()["tables"] == printed["tables"]
