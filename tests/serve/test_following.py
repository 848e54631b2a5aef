"""What is written to an index is served a moment later, whole; what cannot be opened is told, and what was there goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, write_store
from pictures import encoded, swatch
from served import Client

from vlm4rec_edge import IndexFolder, Recommender, make_bundle
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.serve import application, following
from vlm4rec_edge.store.lock import WriterLock

VECTORS = random_vectors(30)


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request looks at the index; a user's server does so once a second."""
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(following, "_SHARE", 0)


def _written(folder: Path, count: int) -> Path:
    return write_store(folder, VECTORS, [(f"item-{row}", row) for row in range(count)])


def test_new_items_appear_and_the_tag_is_another(client_of: Client, tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    client = client_of(folder)
    before = client.get("/v1/items")
    assert before.json()["total"] == 10
    _written(folder, 20)
    after = client.get("/v1/items", headers={"if-none-match": before.headers["etag"]})
    assert (after.status_code, after.json()["total"]) == (200, 20)
    assert client.get("/v1/info").json()["items"] == 20
    found = client.get("/v1/items/item-15/similar?k=30").json()["recommendations"]
    assert len(found) == 19


def test_nobody_waits_for_a_large_index_to_be_taken_up(
    client_of: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, ended = threading.Event(), threading.Event()
    look = following.ServedIndex.look

    def slow(served: following.ServedIndex) -> None:
        may_end.wait(30)
        look(served)
        ended.set()

    monkeypatch.setattr(application, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(following.ServedIndex, "look", slow)
    folder = _written(tmp_path / "s", 10)
    with client_of(folder) as client:
        _written(folder, 20)
        assert [client.get("/v1/items").json()["total"] for _ in range(3)] == [10] * 3
        assert not may_end.is_set()
        may_end.set()
        assert ended.wait(30)
        assert client.get("/v1/items").json()["total"] == 20


def test_while_an_index_is_written_it_is_served_and_that_is_told(client_of: Client, tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    client = client_of(folder)
    assert client.get("/v1/state").json()["writer"] == ""
    lock = WriterLock(folder)
    try:
        state = client.get("/v1/state").json()
        assert state["writer"].startswith("process ")
        assert client.get("/v1/items/item-1/similar").status_code == 200
    finally:
        lock.release()
    assert client.get("/v1/state").json()["writer"] == ""


def test_failures_of_a_run_are_told(client_of: Client, own_index: Path, tmp_path: Path) -> None:
    client = client_of(own_index)
    assert client.get("/v1/state").json()["left_out"] == 0
    catalog = tmp_path / "photos"
    catalog.mkdir()
    (catalog / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (catalog / "whole.png").write_bytes(encoded(swatch(10, 200, 30)))
    with IndexFolder(own_index) as index:
        index.update(catalog)
    state = client.get("/v1/state").json()
    assert (state["left_out"], state["failures"][0]["where"]) == (1, "broken")
    assert "no format known here" in state["failures"][0]["reason"]


def test_an_index_that_goes_away_is_told_and_answers_go_on(client_of: Client, tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    client = client_of(folder)
    assert client.get("/v1/items").json()["total"] == 10
    folder.rename(tmp_path / "moved")
    assert client.get("/v1/items").json()["total"] == 10
    assert "There is no index" in client.get("/v1/state").json()["problem"]
    (tmp_path / "moved").rename(folder)
    assert client.get("/v1/state").json()["problem"] == ""


def test_a_bundle_that_is_replaced_is_taken_up(client_of: Client, tmp_path: Path) -> None:
    bundle = tmp_path / "s.zip"
    make_bundle(_written(tmp_path / "s", 10), bundle)
    client = client_of(bundle)
    assert client.get("/v1/items").json()["total"] == 10
    make_bundle(_written(tmp_path / "s", 20), tmp_path / "new.zip")
    (tmp_path / "new.zip").replace(bundle)
    assert client.get("/v1/items").json()["total"] == 20
    assert client.get("/v1/state").json()["items"] == 20


@pytest.mark.parametrize("kind", ["index", "bundle"])
def test_items_of_an_index_that_learned_can_be_compared_by_the_words_alone(
    client_of: Client, tmp_path: Path, kind: str
) -> None:
    """Of a bundle they cannot, for it holds the mixed vectors alone, and that is told."""
    random = np.random.default_rng(1)
    bought = [(user, f"item-{3 * (user % 10) + place}") for user in range(200) for place in random.permutation(3)]
    lines = [f"{user},{item},2026-01-0{place % 3 + 1}" for place, (user, item) in enumerate(bought)]
    (tmp_path / "bought.csv").write_text("\n".join(["user_id,item_id,date", *lines]), encoding="utf-8")
    served = _written(tmp_path / "s", 30)
    with IndexFolder(served) as index:
        assert index.learn(tmp_path / "bought.csv").stored
    words_of_index = _of(served, words_alone=True)
    if kind == "bundle":
        make_bundle(served, served := tmp_path / "s.zip")
    client, body = client_of(served), {"history": ["item-0", "item-4"], "explain": True, "k": 5}
    state = client.get("/v1/state").json()
    assert state["representations"] == (["learned", "words"] if kind == "index" else ["learned"])
    found = client.post("/v1/recommend", json=body).json()["recommendations"]
    assert set(found[0]["because"][0]["parts"]) == {"reads alike", "bought together", "often bought"}
    words = client.post("/v1/recommend", json={**body, "representation": "words"})
    if kind == "bundle":
        assert (words.status_code, words.json()["error"]["kind"]) == (400, "UsageError")
        with pytest.raises(UsageError, match="no vectors of titles and captions alone"):
            _of(served, words_alone=True)
        return
    assert [hit["item_id"] for hit in words.json()["recommendations"]] == words_of_index != _of(served)
    assert words.json()["recommendations"][0]["because"][0]["parts"] == {}


def _of(served: Path, *, words_alone: bool = False) -> list[str]:
    with Recommender.open(served, words_alone=words_alone) as shop:
        return [hit.item_id for hit in shop.recommend(["item-0", "item-4"], 5)]
