"""Over HTTP items are compared by their photos as by their words, where the index keeps vectors of photos."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_photos import BARE, write_photo_shop
from served import Client

from vlm4rec_edge import IndexFolder, Recommender
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.recommend.selection import Selection

HISTORY = ["item-0", "item-21", "item-40"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose photos have vectors. To be read only."""
    return write_photo_shop(tmp_path_factory.mktemp("two") / "shop.index")


def test_both_ways_are_told_and_answer_as_in_python(client_of: Client, folder: Path) -> None:
    client = client_of(folder)
    assert client.get("/v1/state").json()["representations"] == ["words", "photos"]
    asked = {"history": HISTORY, "k": 7, "where": "price < 50", "deny": ["item-2"], "explain": True}
    selection = Selection(where="price < 50", deny=["item-2"])
    answers = []
    for way, photos_alone in (("words", False), ("photos", True)):
        answer = client.post("/v1/recommend", json={**asked, "representation": way})
        assert answer.status_code == 200
        with Recommender.open(folder, photos_alone=photos_alone) as shop:
            expected = shop.recommend(HISTORY, 7, selection=selection, explain=True).to_dict()
        assert answer.json()["recommendations"] == expected["recommendations"]
        answers.append([hit["item_id"] for hit in answer.json()["recommendations"]])
    assert answers[0] != answers[1]
    with Recommender.open(folder, photos_alone=True) as shop:
        near = [hit.item_id for hit in shop.similar("item-5", 4)]
    similar = client.get("/v1/items/item-5/similar?k=4&representation=photos").json()
    assert [hit["item_id"] for hit in similar["recommendations"]] == near


def test_the_shared_words_are_told_for_both_ways(client_of: Client, folder: Path) -> None:
    client = client_of(folder)
    for way in ("words", "photos"):
        body = {"history": ["item-0"], "k": 30, "explain": True, "representation": way}
        hits = client.post("/v1/recommend", json=body).json()["recommendations"]
        assert any(hit["shared"] for hit in hits)
        for hit in hits:
            said = set(hit["caption"].lower().replace(".", "").replace(",", "").split())
            assert set(hit["shared"]) == said & {"red", "boots"}


def test_a_text_cannot_be_compared_with_photos(client_of: Client, folder: Path) -> None:
    client = client_of(folder)
    body = {"history": HISTORY, "text": "boots", "representation": "photos"}
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 400
    assert "A text cannot be compared with photos" in answer.json()["error"]["message"]
    answer = client.get("/v1/search?q=boots&representation=photos")
    assert (answer.status_code, "learned or words" in answer.json()["error"]["message"]) == (400, True)
    answer = client.post("/v1/recommend", json={"history": list(BARE), "representation": "photos"})
    assert (answer.status_code, "No item of this history" in answer.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize("kind", ["index without", "bundle"])
def test_where_there_are_none_it_says_so(
    client_of: Client, folder: Path, served_index: Path, tmp_path: Path, kind: str
) -> None:
    served = served_index
    if kind == "bundle":
        make_bundle(folder, served := tmp_path / "shop.zip")
    client = client_of(served)
    assert client.get("/v1/state").json()["representations"] == ["words"]
    answer = client.post("/v1/recommend", json={"history": ["item-0"], "representation": "photos"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "UsageError")
    assert "compared by words only, not photos. It keeps no vectors of photos;" in answer.json()["error"]["message"]


def test_what_is_written_is_taken_up_by_both(
    client_of: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm4rec_edge.serve.following._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("vlm4rec_edge.serve.following._SHARE", 0.0)
    own = write_photo_shop(tmp_path / "own.index", 12)
    client = client_of(own)
    counts = []
    for _ in range(2):
        for way in ("words", "photos"):
            body = {"history": ["item-0"], "k": 50, "representation": way}
            counts.append(len(client.post("/v1/recommend", json=body).json()["recommendations"]))
        with IndexFolder(own) as index:
            index.remove(["item-1"])
    assert counts == [11, 11 - len(BARE), 10, 10 - len(BARE)]
    with IndexFolder(own) as index:  # the last of those that have a photo
        index.remove([f"item-{row}" for row in range(12) if f"item-{row}" not in BARE])
    answer = client.post("/v1/recommend", json={"history": list(BARE), "representation": "photos"})
    assert (answer.status_code, "keeps no vectors of its photos" in answer.json()["error"]["message"]) == (400, True)
    assert client.post("/v1/recommend", json={"history": list(BARE[:1])}).json()["recommendations"]


def test_the_description_names_the_ways(client_of: Client, folder: Path) -> None:
    paths = client_of(folder).get("/openapi.json").json()["paths"]
    body = paths["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["representation"]["enum"] == ["learned", "words", "photos"]
    (field,) = (one for one in paths["/v1/search"]["get"]["parameters"] if one["name"] == "representation")
    assert field["schema"]["enum"] == ["learned", "words"]
