"""The answers of the API are the documents of the package, for every id, and errors are documents with the right status."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from served import ODD_IDS
from starlette.testclient import TestClient

from vlm4rec_edge import ProfileSettings, Recommender, Selection, describe_index, list_items

JSON, PNG = {"content-type": "application/json"}, {"content-type": "image/png"}


def _at(item: str, rest: str = "") -> str:
    return f"/v1/items/{quote(item, safe='')}{rest}"


def test_info_and_items_are_the_documents_of_the_commands(client: TestClient, served_index: Path) -> None:
    assert client.get("/v1/info").json() == describe_index(served_index).to_dict()
    where = "colour = 'red' and price < 40"
    answer = client.get("/v1/items", params={"where": where, "limit": 5})
    assert answer.json() == list_items(served_index, where=where, limit=5).to_dict()


def test_recommend_takes_all_that_the_package_takes(client: TestClient, opened: Recommender) -> None:
    body = {
        "history": ["item-1", "a/b", "nobody"],
        "disliked": ["item-5"],
        "k": 7,
        "weights": [1, 2.5, 3],
        "times": ["2026-01-01", "2026-01-03", "2026-02-01"],
        "half_life": 3,
        "last": 2,
        "interests": 2,
        "merge": "best",
        "dislike_weight": 0.5,
        "where": "price >= 3",
        "deny": ["item-9"],
        "one_per": "id:6",
        "diversity": 0.4,
        "min_score": -1,
        "include_history": True,
        "explain": True,
    }
    found = opened.recommend(
        body["history"],
        7,
        skip_unknown=True,
        weights=[1, 2.5, 3],
        times=[20454.0, 20456.0, 20485.0],
        disliked=["item-5"],
        settings=ProfileSettings(last=2, half_life=3, interests=2, merge="best", dislike_weight=0.5),
        selection=Selection(
            where="price >= 3", deny=["item-9"], one_per="id:6", diversity=0.4, min_score=-1, exclude_history=False
        ),
        explain=True,
    )
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == found.to_dict()
    assert answer.json()["unknown"] == ["nobody"]


def test_popularity_and_allow_are_taken_too(client: TestClient, opened: Recommender) -> None:
    answer = client.post("/v1/recommend", json={"popularity": "price", "allow": ["item-1", "item-2"], "k": 1})
    found = opened.recommend([], 1, popularity="price", selection=Selection(allow=["item-1", "item-2"]))
    assert answer.json() == found.to_dict()


@pytest.mark.parametrize("item", ODD_IDS, ids=ascii)
def test_every_odd_id_works_in_a_path(client: TestClient, opened: Recommender, item: str) -> None:
    assert client.get(_at(item)).json() == opened.listed([item])[0].to_dict()
    assert client.get(_at(item, "/similar?k=2")).json() == opened.similar(item, 2).to_dict()
    assert client.get(_at(item, "/photo?size=40")).headers["content-type"] == "image/jpeg"
    listed = client.get("/v1/items", params={"id": [item, "nobody"]}).json()
    assert ([one["id"] for one in listed["items"]], listed["unknown"]) == ([item], ["nobody"])


def test_an_id_in_another_form_of_unicode_is_the_same_item(client: TestClient) -> None:
    assert client.get(_at("e\u0301")).json()["id"] == "\u00e9"


def test_pages_by_cursor_hold_every_item_once(client: TestClient) -> None:
    found, after = [], None
    while True:
        page = client.get("/v1/items", params={"limit": 7, **({} if after is None else {"after": after})}).json()
        found += [item["id"] for item in page["items"]]
        if (after := page["next_after"]) is None:
            break
    assert len(found) == page["total"] == 60
    assert found == sorted(found)


@pytest.mark.parametrize("text", ["blue", "blue number", "item-3", "BLUE 4", "'", "nowhere at all"])
def test_a_text_is_looked_for_in_ids_titles_and_captions(client: TestClient, opened: Recommender, text: str) -> None:
    page = client.get("/v1/items", params={"text": text, "limit": 100}).json()
    expected = [
        item.id
        for item in opened.items(limit=None).items
        if all(word in f"{item.id} {item.title} {item.caption}".casefold() for word in text.casefold().split())
    ]
    assert [item["id"] for item in page["items"]] == expected
    assert page["total"] == len(expected) < 60


def test_a_text_and_a_filter_both_count_whatever_the_filter_says(client: TestClient) -> None:
    page = client.get("/v1/items", params={"text": "blue", "where": "price < 10 or price > 55", "limit": 100}).json()
    prices = [int(item["attributes"]["price"]) for item in page["items"]]
    assert prices
    assert all(price < 10 or price > 55 for price in prices)
    assert all(price % 3 == 1 for price in prices)


def test_columns_are_those_that_a_filter_may_name(client: TestClient) -> None:
    columns = {column["name"]: column for column in client.get("/v1/columns").json()["columns"]}
    assert [value["value"] for value in columns["colour"]["values"]] == ["red", "blue", "green"]
    assert (columns["price"]["least"], columns["price"]["most"]) == (0, 59)


@pytest.mark.parametrize(
    ("method", "path", "how", "status", "kind", "said"),
    [
        ("GET", "/v1/items/nobody", {}, 404, "UnknownItemError", "nobody"),
        ("GET", "/v1/items/nobody/similar", {}, 404, "UnknownItemError", "nobody"),
        ("GET", "/v1/items/nobody/photo", {}, 404, "UnknownItemError", "nobody"),
        ("GET", "/v1/items/item-1/photo?number=2", {}, 404, "PhotoError", "no photo 2"),
        ("GET", "/v1/items?where=nothing+%3D+1", {}, 400, "UsageError", "no column 'nothing'"),
        ("GET", "/v1/items?where=price+%3C", {}, 400, "UsageError", "cannot be read"),
        ("GET", "/v1/items?limit=501", {}, 400, "UsageError", "limit is 501"),
        ("GET", "/v1/items?q=red", {}, 400, "UsageError", "no field 'q'"),
        ("GET", "/v1/items?id=item-1&text=red", {}, 400, "UsageError", "not by both"),
        ("GET", "/v1/search", {}, 400, "UsageError", "q is missing"),
        ("GET", "/v1/nothing", {}, 404, "NotFoundError", "/reference"),
        ("GET", "/v1/items/", {}, 404, "NotFoundError", "nothing at this path"),
        ("DELETE", "/v1/items/item-1", {}, 405, "MethodNotAllowedError", "GET"),
        ("GET", "/v1/recommend", {}, 405, "MethodNotAllowedError", "POST"),
        ("POST", "/v1/recommend", {"json": {}}, 400, "UsageError", "nothing to recommend from"),
        ("POST", "/v1/recommend", {"json": {"history": ["nobody"]}}, 404, "UnknownItemError", "nobody"),
        ("POST", "/v1/recommend", {"json": {"history": "item-1"}}, 400, "UsageError", "history is a list"),
        ("POST", "/v1/recommend", {"json": {"history": [1]}}, 400, "UsageError", "Each entry of history is a text"),
        ("POST", "/v1/recommend", {"json": {"history": ["item-1"], "weights": [1, 2]}}, 400, "UsageError", "2 weights"),
        ("POST", "/v1/recommend", {"json": {"history": ["item-1"], "times": ["x"]}}, 400, "UsageError", "not a list of dates"),
        ("POST", "/v1/recommend", {"json": {"history": ["item-1"], "k": 501}}, 400, "UsageError", "k is 501"),
        ("POST", "/v1/recommend", {"json": {"history": ["item-1"], "hsitory": []}}, 400, "UsageError", "mean history"),
        ("POST", "/v1/recommend", {"json": {"history": ["item-1"], "representation": "learned"}}, 400, "UsageError", "words"),
        ("POST", "/v1/recommend", {"content": b"{}", "headers": {}}, 415, "UnsupportedTypeError", "application/json"),
        ("POST", "/v1/recommend", {"content": b"{", "headers": JSON}, 400, "UsageError", "no JSON"),
        ("POST", "/v1/recommend", {"content": b'{"k": NaN}', "headers": JSON}, 400, "UsageError", "NaN"),
        ("POST", "/v1/recommend", {"content": b"\xff", "headers": JSON}, 400, "UsageError", "no JSON"),
        ("POST", "/v1/recommend", {"content": b"[" * 100_000, "headers": JSON}, 400, "UsageError", "nested"),
        ("POST", "/v1/similar-photo", {"content": b"x", "headers": PNG}, 501, "MissingCaptionerError", "--captioner"),
        ("POST", "/v1/similar-photo", {"content": b"x", "headers": JSON}, 415, "UnsupportedTypeError", "image/"),
        ("GET", f"/v1/items/{'a' * 20_000}", {}, 414, "TooLongError", "path"),
        ("GET", f"/v1/search?q={'a' * 20_000}", {}, 414, "TooLongError", "query"),
        ("GET", f"/v1/search?q={'a' * 2_000}", {}, 400, "UsageError", "2,000 characters"),
        ("GET", "/v1/items/%ff", {}, 400, "UsageError", "UTF-8"),
    ],
)  # fmt: skip
def test_an_error_is_a_document_with_its_status(
    client: TestClient, method: str, path: str, how: dict, status: int, kind: str, said: str
) -> None:
    answer = client.request(method, path, **how)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert list(answer.json()) == ["error"]
    assert sorted(error) == ["kind", "message"]
    assert error["kind"].startswith(kind)
    assert said in error["message"]


def test_a_tag_holds_until_the_index_changes_and_saves_the_answer(client: TestClient) -> None:
    for path in ("/v1/info", "/v1/items?limit=2", "/v1/items/item-1", "/v1/items/item-1/similar", "/v1/columns"):
        first = client.get(path)
        again = client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, headers={"if-none-match": '"another"'}).status_code == 200


def test_a_head_is_a_get_without_its_content(client: TestClient) -> None:
    answer = client.head("/v1/info")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == client.get("/v1/info").headers["content-length"]


def test_a_fault_of_ours_is_told_without_a_trace(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of this machine")

    monkeypatch.setattr(Recommender, "items", broken)
    answer = client.get("/v1/items")
    assert answer.status_code == 500
    assert answer.json()["error"]["kind"] == "InternalError"
    assert "secret" not in answer.text
    assert "a secret of this machine" in caplog.text, "the log says where"
