"""What an earlier version made opens, verifies, answers the same and takes new items.

Each folder of ``earlier`` was made by the version it is named after, of drawings in ``/shop``, and is never made anew: an
index of fourteen items (``--structured --encode title_caption``), a bundle of its first twelve, the delta from that bundle to
one of all fourteen, the answers that version gave, and the captioner that was embedded in it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pictures import drawn
from program import program

from vlm4rec_edge import Recommender
from vlm4rec_edge.bundle.check import verify_bundle
from vlm4rec_edge.index_folder import IndexFolder

VERSIONS = sorted(path for path in (Path(__file__).parent / "earlier").iterdir() if path.is_dir())


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a version made."""
    return Path(shutil.copytree(request.param, tmp_path / "made"))


def _answers(made: Path) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((made / "answers.json").read_text(encoding="utf-8"))
    return answers


@pytest.mark.parametrize("name", ["shop.index", "shop.zip"])
def test_it_answers_as_it_did(made: Path, name: str) -> None:
    expected = _answers(made)[name]
    with Recommender.open(made / name) as shop:
        found = {
            item.id: {"caption": item.caption, "fields": dict(item.fields), "title": item.title}
            for item in shop.store.items()
        }
        assert found == expected["items"]
        for asked in expected["recommended"]:
            hits = shop.recommend(asked["history"], k=5)
            assert [hit.item_id for hit in hits] == [item_id for item_id, _ in asked["hits"]]
            assert [hit.score for hit in hits] == pytest.approx([score for _, score in asked["hits"]], abs=2e-5)
        similar = [hit.item_id for hit in shop.similar(expected["similar"]["item"], k=3)]
        assert similar == [item_id for item_id, _ in expected["similar"]["hits"]]


def test_it_is_whole(made: Path) -> None:
    assert IndexFolder(made / "shop.index").verify().findings == ()
    assert verify_bundle(made / "shop.zip").findings == ()


def test_its_delta_makes_the_bundle_that_it_made(made: Path) -> None:
    done = program("patch", made / "shop.zip", made / "news.zip", made / "new.zip")
    assert done.code == 0, done.err
    document = program("info", made / "new.zip", "--json").json
    assert document["items"] == 14
    assert document["bundle"]["digest"] == _answers(made)["patched digest"]


def test_it_takes_new_items_with_the_models_that_made_it(made: Path, tmp_path: Path) -> None:
    photo = tmp_path / "new.png"
    drawn("dress", "red").save(photo)
    index = made / "shop.index"
    done = program("add", index, photo, "--title", "Red dress", "--model", made / "stylist-lvlm")
    assert done.code == 0, done.err
    expected = _answers(made)["shop.index"]["items"]
    with Recommender.open(index) as shop:
        items = {item.id: item for item in shop.store.items()}
        assert set(items) == {*expected, "new"}
        assert set(items["new"].fields) == set(next(iter(expected.values()))["fields"])
        assert {item_id: item.caption for item_id, item in items.items() if item_id != "new"} == {
            item_id: item["caption"] for item_id, item in expected.items()
        }
        assert shop.search("a red dress", k=1)
    assert IndexFolder(index).verify().findings == ()


def test_captions_of_the_captioner_of_today_are_not_mixed_into_it_but_can_replace_its_own(
    made: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photos" / "new.png"
    photo.parent.mkdir()
    drawn("dress", "red").save(photo)
    index = made / "shop.index"
    with Recommender.open(index) as shop:
        before = {item.id: item.caption for item in shop.store.items()}
    done = program("add", index, photo)
    assert done.code == 1
    assert "made by another model or another version of it than stylist-lvlm" in done.err
    with Recommender.open(index) as shop:
        assert {item.id: item.caption for item in shop.store.items()} == before
    done = program("index", photo.parent, "--out", index)
    assert done.code == 1
    assert "--remake" in done.err
    done = program("index", photo.parent, "--out", index, "--remake")
    assert done.code == 0, done.err
    with Recommender.open(index) as shop:
        assert {item.id for item in shop.store.items()} == {*before, "new"}


def test_its_bundle_describes_a_new_photo_as_it_described_its_own(made: Path, tmp_path: Path) -> None:
    photo = tmp_path / "new.png"
    drawn("dress", "red").save(photo)
    found = {
        name: program("similar", made / name, "--photo", photo, "--model", made / "stylist-lvlm", "--json")
        for name in ("shop.index", "shop.zip")
    }
    assert [done.code for done in found.values()] == [0, 0], found["shop.zip"].err
    assert found["shop.zip"].json["query"]["caption"] == found["shop.index"].json["query"]["caption"]
