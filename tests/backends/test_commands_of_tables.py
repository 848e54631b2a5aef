"""What ``serve``, ``evaluate`` and ``recommend --histories`` answer from a table is what they answer from its index."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_backends import ITEMS, shipped, write_shop
from made_items import NOTES, batch_of
from made_shop import write_made_shop
from made_store import unit, write_store
from program import program

from vlm4rec_edge import EvaluationSettings, Interactions, Recommender, evaluate, export_to_lancedb
from vlm4rec_edge.lance.writer import finish, remove_items, upsert_items, write_table
from vlm4rec_edge.recommend.source import open_source

pytest.importorskip("lancedb", reason="lancedb is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")

sys.path.append(str(Path(__file__).parents[1] / "serve"))

from running_server import running
from starlette.testclient import TestClient

from vlm4rec_edge.serve import app, following

HERE = "http://127.0.0.1:8000"
HISTORY = ["0002-0", "0010-2", "0031-1", "nobody"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop") / "index")


@pytest.fixture(scope="module")
def address(index: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(shipped(index, "lancedb", tmp_path_factory.mktemp("table")))


@pytest.fixture(scope="module")
def clients(index: Path, address: str) -> Iterator[tuple[TestClient, TestClient]]:
    """What is served from the table, and from its index."""
    with ExitStack() as opened:
        shops = [opened.enter_context(Recommender.open(place)) for place in (address, index)]
        applications = [opened.enter_context(app(shop)) for shop in shops]
        yield tuple(TestClient(one, base_url=HERE) for one in applications)  # type: ignore[misc]


def assert_same(found: Any, expected: Any) -> None:
    """Check that two documents are one: numbers to 1e-3, everything else exactly, but for where the items lie."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in found.keys() - {"index"}:
            assert_same(found[name], expected[name])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-3)
    else:
        assert found == expected


# Some of them compare a column with a number of which not all values are one, and that is told.
pytestmark = pytest.mark.filterwarnings("ignore:The filter compares")
READ = {
    "items": ("/v1/items", {"limit": 7, "skip": 3}),
    "items of a filter": ("/v1/items", {"where": "price > 10 and not audience = 'Kids'", "limit": 500}),
    "items of a text": ("/v1/items", {"text": "GREEN number", "limit": 500}),
    "items of a text and a filter": ("/v1/items", {"text": "1", "where": "price < 30 or sold > 90", "limit": 500}),
    "items by id": ("/v1/items", {"id": ["0010-2", "nobody", "0001-1"]}),
    "columns": ("/v1/columns", {}),
    "item": ("/v1/items/0010-2", {}),
    "no item": ("/v1/items/0010-22", {}),
    "similar": ("/v1/items/0010-2/similar", {"k": 12, "explain": True}),
    "similar, filtered": ("/v1/items/0010-2/similar", {"k": 12, "where": "audience in ('Kids', 'Menswear')"}),
    "similar, one per": ("/v1/items/0010-2/similar", {"k": 9, "one_per": "colour name"}),
    "similar, diverse": ("/v1/items/0010-2/similar", {"k": 9, "diversity": 0.5, "representation": "words"}),
    "a filter that cannot be read": ("/v1/items", {"where": "price <"}),
    "a column that is not there": ("/v1/items", {"where": "prize < 5"}),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_over_http_is_the_same(clients: tuple[TestClient, TestClient], name: str) -> None:
    path, query = READ[name]
    found, expected = (client.get(path, params=query) for client in clients)
    assert found.status_code == expected.status_code
    assert_same(found.json(), expected.json())


ASKED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "filtered": {"where": "price > 10 and \"colour name\" contains 'BLUE'", "k": 40},
    "one per": {"one_per": "id:4", "k": 30},
    "diverse": {"diversity": 0.4, "where": "audience is not missing"},
    "with all": {
        "disliked": ["0003-0"],
        "weights": [1, 2.5, 3, 1],
        "times": ["2026-01-01", "2026-01-03", "2026-02-01", "2026-02-01"],
        "half_life": 3,
        "interests": 2,
        "merge": "best",
        "where": "price >= 0",
        "deny": ["0010-0"],
        "one_per": "id:4",
        "diversity": 0.3,
        "include_history": True,
        "explain": True,
    },
    "allowed": {"allow": ["0001-1", "0020-0", "0021-0"], "min_score": -1, "k": 2},
    "popular": {"history": [], "popularity": "sold", "where": "audience = 'Kids'"},
    "of nothing known": {"history": ["nobody"]},
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_recommended_over_http_is_the_same(
    clients: tuple[TestClient, TestClient], address: str, index: Path, name: str
) -> None:
    body = {"history": HISTORY, "k": 10, "explain": True, **ASKED[name]}
    found, expected = (client.post("/v1/recommend", json=body) for client in clients)
    assert found.status_code == expected.status_code == (404 if name == "of nothing known" else 200), found.text
    assert_same(json.loads(found.text.replace(address, str(index))), expected.json())


def test_a_served_table_tells_what_it_is_and_has_no_pictures(
    clients: tuple[TestClient, TestClient], address: str
) -> None:
    info, state = clients[0].get("/v1/info").json(), clients[0].get("/v1/state").json()
    assert (info["index"], info["items"], info["method"]) == (address, ITEMS, "exact")
    assert (state["index"], state["photos"], state["representations"]) == ("shop.lancedb", False, ["words"])
    picture = clients[0].get("/v1/items/0001-1/photo")
    assert (picture.status_code, picture.json()["error"]["kind"]) == (404, "PhotoError")


def test_a_table_is_searched_by_text_as_its_index(shop_index: Path, tmp_path: Path) -> None:
    address = f"lancedb://{tmp_path / 'shop.lancedb'}"
    export_to_lancedb(shop_index, address)
    query = {"q": "something blue", "k": 5, "where": "caption is not missing", "diversity": 0.2, "explain": True}
    with ExitStack() as opened:
        shops = [opened.enter_context(Recommender.open(place)) for place in (address, shop_index)]
        found, expected = (
            TestClient(opened.enter_context(app(shop)), base_url=HERE).get("/v1/search", params=query) for shop in shops
        )
    assert expected.status_code == 200, expected.text
    assert len(expected.json()["recommendations"]) == 5
    assert_same(found.json(), expected.json())


def test_what_is_written_to_a_table_is_served_a_moment_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(following, "_SHARE", 0)
    address = f"lancedb://{tmp_path / 'shop'}"
    write_table(address, [batch_of([f"old-{number}" for number in range(10)])], NOTES, [])
    with Recommender.open(address) as shop, app(shop) as application:
        client = TestClient(application, base_url=HERE)
        before = client.get("/v1/items")
        assert before.json()["total"] == 10
        upsert_items(address, *batch_of(["new"]), space="e")
        remove_items(address, ["old-3"])
        after = client.get("/v1/items", headers={"if-none-match": before.headers["etag"]})
        assert after.status_code == 200
        assert [item["id"] for item in after.json()["items"]][:4] == ["new", "old-0", "old-1", "old-2"]
        assert client.get("/v1/items/old-3").status_code == 404
        assert client.get("/v1/info").json()["items"] == 10
        similar = client.get("/v1/items/new/similar", params={"k": 20}).json()["recommendations"]
        assert {hit["item_id"] for hit in similar} == {f"old-{number}" for number in range(10) if number != 3}


def test_the_program_serves_a_table(address: str, index: Path) -> None:
    with running(address) as server, Recommender.open(index) as local:
        assert (server.told["index"], server.told["items"]) == (address, ITEMS)
        answer = server.ask("v1/recommend", {"history": ["0010-2"], "k": 5, "explain": True})
        assert answer.status == 200
        assert_same(answer.json, local.recommend(["0010-2"], 5, explain=True).to_dict())


def test_figures_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    """Five items lie on a circle, at so many degrees; each user is recommended what is nearest to the first of his two.

    From 0 degrees the item at 30 is the second nearest, after that at 10. From 90 the one at 100 is the first. From 10 the
    one at 90 is the third, after those at 0 and at 30.
    """
    degrees = [0, 10, 30, 90, 100]
    vectors = unit([[math.cos(math.radians(each)), math.sin(math.radians(each))] for each in degrees])
    index = write_store(tmp_path / "index", vectors, [(f"at-{each}", row) for row, each in enumerate(degrees)])
    address = f"lancedb://{tmp_path / 'table'}"
    export_to_lancedb(index, address)
    purchases = tmp_path / "purchases.csv"
    pairs = {"u": (0, 30), "v": (90, 100), "w": (10, 90)}
    lines = [
        f"{user},at-{each},2026-01-0{day}" for user, both in pairs.items() for day, each in enumerate(both, start=1)
    ]
    purchases.write_text("\n".join(["user_id,item_id,date", *lines]) + "\n")
    done = program(
        *("evaluate", address, "--interactions", purchases, "--protocol", "last", "--resamples", 10, "--json"),
        *("--metric", "mrr,recall@1,recall@2,ndcg@2"),
    )
    assert done.code == 0, done.err
    figures = {name: one["mean"] for name, one in done.json["tables"][0]["systems"][0]["figures"].items()}
    assert figures == pytest.approx(
        {
            "mrr": (1 / 2 + 1 + 1 / 3) / 3,
            "recall@1": 1 / 3,
            "recall@2": 2 / 3,
            "ndcg@2": (1 / math.log2(3) + 1 + 0) / 3,
        }
    )


def test_every_figure_is_that_of_the_index_where_items_share_vectors_and_come_in_another_order(tmp_path: Path) -> None:
    index = write_made_shop(tmp_path / "index")
    address = f"lancedb://{tmp_path / 'table'}"
    export_to_lancedb(index, address)
    source, _ = open_source(index)
    again = [item for item in source.items() if item.id < "0020"]
    upsert_items(address, again, source.vectors_at([item.row for item in again]), space=source.space)
    finish(address)
    ids = sorted(source.ids())
    source.close()
    chance = np.random.default_rng(8)
    users = np.repeat(np.arange(60), 6)
    bought = np.concatenate([chance.permutation(len(ids))[:6] for _ in range(60)])
    dates = np.tile(np.arange(6.0), 60)
    purchases = Interactions(
        tuple(f"u{user}" for user in range(60)), tuple(ids), users, bought, dates, np.ones(len(dates))
    )
    settings = EvaluationSettings(group="id:4", resamples=50, metrics=("recall@10", "mrr", "coverage@10"))
    bundle = shipped(index, "bundle", tmp_path)
    documents = [evaluate(place, purchases, settings=settings).to_dict() for place in (address, bundle, index)]
    for document in documents:
        del document["index"], document["seconds"]
    assert documents[0] == documents[2]
    assert documents[1] == documents[2]
    assert documents[0]["vectors"] < documents[0]["items"]


def test_many_users_are_recommended_the_same_from_a_table(address: str, index: Path, tmp_path: Path) -> None:
    table = tmp_path / "histories.csv"
    table.write_text('user_id,history\na,"0001-1,0002-0"\nb,0044-0\nc,nobody\n')
    answers = []
    for number, place in enumerate((address, index)):
        out = tmp_path / f"{number}.csv"
        how = ("--where", "price > 10", "--one-per", "colour name", "--diversity", 0.2, "-k", 4)
        done = program("recommend", place, "--histories", table, "--out", out, *how)
        assert done.code == 3, "one user has no known item"
        with out.open(newline="") as stream:
            answers.append(list(csv.DictReader(stream)))
    named = [[(row["user_id"], row["item_id"]) for row in each] for each in answers]
    assert named[0] == named[1]
    scores = [[float(row["score"]) for row in each] for each in answers]
    assert len(scores[0]) > 4
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
