"""`demo` makes the whole way in one command, and a report that a person can open."""

from __future__ import annotations

import base64
import csv
import io
import re
import shlex
import shutil
from html import escape, unescape
from pathlib import Path

import pytest
from drawings import catalog_of_drawings, write_catalog
from drawings.kinds import KINDS
from PIL import Image
from program import Done, program

from vlm4rec_edge import Recommender
from vlm4rec_edge.demo.tastes import TASTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo was run."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Done:
    """The demo, run once, from the folder itself."""
    return program("demo", "--out", "my demo", "--json", cwd=folder)


@pytest.fixture(scope="module")
def page(demo: Done, folder: Path) -> str:
    """Its report."""
    return (folder / demo.json["report"]).read_text(encoding="utf-8")


def test_the_demo_answers_a_program_with_the_documented_fields(demo: Done, folder: Path) -> None:
    assert (demo.code, demo.err) == (0, "")
    document = demo.json
    assert set(document) >= {"report", "index", "items", "captions_per_second", "shoppers", "tastes", "failures"}
    assert document["items"] >= 60
    assert document["captions_per_second"] > 0
    assert document["failures"] == []
    assert [shopper["name"] for shopper in document["shoppers"]] == [taste.shopper for taste in TASTES]
    with (folder / "my demo" / "shop" / "histories.csv").open(encoding="utf-8", newline="") as stream:
        left = {row["user_id"]: row["history"].split(",") for row in csv.DictReader(stream)}
    assert left == {shopper["name"]: shopper["history"] for shopper in document["shoppers"]}
    for shopper in document["shoppers"]:
        for way in ("recommendations", "by_photos"):
            recommended = [entry["item_id"] for entry in shopper[way]]
            assert shopper["history"]
            assert len(recommended) >= 5
            assert not set(recommended) & set(shopper["history"])
            scores = [entry["score"] for entry in shopper[way]]
            assert scores == sorted(scores, reverse=True)


def test_it_counts_made_shoppers_of_every_taste(demo: Done) -> None:
    tastes = demo.json["tastes"]
    assert [(told["taste"], told["kind"]) for told in tastes] == [(taste.name, taste.kind) for taste in TASTES]
    for told in tastes:
        assert told["shoppers"] == 200
        for way in ("words", "photos"):
            assert 0 <= told[way]["low"] <= told[way]["mean"] <= told[way]["high"] <= 10
        assert told["difference"]["mean"] == pytest.approx(told["words"]["mean"] - told["photos"]["mean"])
        assert 0 < told["chance"] < 10


def test_it_ends_with_the_command_that_opens_its_shop_in_the_page(demo: Done, folder: Path) -> None:
    done = program("demo", "--out", "my demo", cwd=folder)
    name, *arguments = shlex.split(done.out.splitlines()[-1])
    assert arguments == ["serve", demo.json["index"], "--open"]
    assert shutil.which(name), "it can be typed as it stands"


def test_its_recommendations_are_those_of_its_index(demo: Done, folder: Path) -> None:
    for way, photos_alone in (("recommendations", False), ("by_photos", True)):
        with Recommender.open(folder / demo.json["index"], photos_alone=photos_alone) as shop:
            for shopper in demo.json["shoppers"]:
                found = shop.recommend(shopper["history"], len(shopper[way]))
                assert [hit.item_id for hit in found] == [entry["item_id"] for entry in shopper[way]]


def test_the_report_shows_every_item_with_its_photo_and_caption(demo: Done, folder: Path, page: str) -> None:
    with Recommender.open(folder / demo.json["index"]) as shop:
        items = list(shop.store.items())
    assert len(items) == demo.json["items"]
    words = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    for item in items:
        assert item.title in words
        assert item.caption in words
    assert len({item.attributes["kind"] for item in items}) >= min(8, len(KINDS))
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) >= len(items) + sum(len(shopper["history"]) for shopper in demo.json["shoppers"])
    with Image.open(io.BytesIO(base64.b64decode(pictures[-1]))) as picture:
        assert picture.width >= 100


def test_the_report_shows_each_shopper_with_history_and_scores(demo: Done, page: str) -> None:
    for shopper in demo.json["shoppers"]:
        assert f"<h2>{shopper['name']}</h2>" in page
        for entry in (*shopper["recommendations"], *shopper["by_photos"]):
            assert f"{entry['score']:.3f}" in page


def test_the_report_underlines_exactly_the_words_that_captions_share(demo: Done, folder: Path, page: str) -> None:
    shown = re.findall(r'<div class="way">.*?</ol></div>', page, re.DOTALL)
    assert len(shown) == 2 * len(demo.json["shoppers"])
    underlined = 0
    for number, shopper in enumerate(demo.json["shoppers"]):
        with Recommender.open(folder / demo.json["index"], photos_alone=True) as shop:
            found = shop.recommend(shopper["history"], len(shopper["by_photos"]), explain=True)
        said = re.findall(r'<p class="said">(.*?)</p>', shown[2 * number + 1])
        for hit, text in zip(found, said, strict=True):
            assert {word.lower() for word in re.findall("<u>(.*?)</u>", text)} == set(hit.shared)
            underlined += len(hit.shared)
    assert underlined > 0


def test_the_figures_of_the_report_are_those_of_its_count(demo: Done, page: str) -> None:
    for told in demo.json["tastes"]:
        for way in ("words", "photos"):
            figure = told[way]
            interval = f"<small>{figure['low']:.2f} to {figure['high']:.2f}</small>"
            assert f"{figure['mean']:.2f} {interval}" in page


def test_the_report_needs_nothing_beside_it(page: str) -> None:
    assert not re.search(r"<script|<link|<iframe|src=\"(?!data:)|href=|url\(|https?://", page)


def test_the_demo_again_does_only_what_is_not_done_and_tells_people(demo: Done, folder: Path, page: str) -> None:
    done = program("demo", "--out", "my demo", cwd=folder)
    assert done.code == 0
    assert f"{demo.json['items']} pictures captioned" in done.out
    for shopper in demo.json["shoppers"]:
        assert f"{shopper['name']} bought: " in done.out
    assert "keep to an occasion" in done.out
    assert "report.html" in done.err


def test_a_place_that_cannot_hold_the_demo_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        done = program("demo", "--out", tmp_path / place, "--json")
        assert done.code == 1
        assert str(tmp_path / "file") in done.err
        assert "error" in done.json
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's own photos: no titles, no table, and one file that is no photo."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    write_catalog(folder.parent, catalog_of_drawings(1)[:12], suffix=".png")
    (folder.parent / "images").rename(folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    return folder


def test_own_photos_get_the_same_report_with_shoppers_that_are_told_to_be_made_up(photos: Path) -> None:
    done = program("demo", "--photos", photos, "--json", cwd=photos.parent)
    document = done.json
    assert done.code == 3, "the broken one is told"
    assert [failure["where"] for failure in document["failures"]] == ["broken"]
    assert (document["items"], document["tastes"]) == (12, [])
    assert document["report"] == "demo-of-photos/report.html"
    page = (photos.parent / document["report"]).read_text(encoding="utf-8")
    assert page.count("<h2>Made-up shopper ") == len(document["shoppers"]) == 3
    assert page.count("Made up: bought from a group of ") == 3
    assert "broken" in page
    for shopper in document["shoppers"]:
        assert len(shopper["recommendations"]) == len(shopper["by_photos"]) == 6
        assert not {entry["item_id"] for entry in shopper["by_photos"]} & set(shopper["history"])
    with Recommender.open(photos.parent / document["index"]) as shop:
        assert all(escape(item.caption, quote=True) in page for item in shop.store.items())


@pytest.mark.parametrize(("count", "shoppers", "offers"), [(1, 0, 0), (2, 1, 1), (3, 1, 2)])
def test_few_photos_are_enough_for_a_report(
    photos: Path, tmp_path: Path, count: int, shoppers: int, offers: int
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photos.glob("*.png"))[:count]:
        shutil.copy(path, few)
    done = program("demo", "--photos", few, "--out", tmp_path / "out", "--json")
    assert (done.code, len(done.json["shoppers"])) == (0, shoppers)
    for shopper in done.json["shoppers"]:
        assert 1 <= len(shopper["recommendations"]) <= offers
    page = Path(done.json["report"]).read_text(encoding="utf-8")
    assert ("recommending needs at least two" in page) is (count == 1)


def test_a_folder_without_photos_is_the_sentence_that_index_says_too(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    shutil.copy(photos / "broken.jpg", tmp_path / "broken")
    for place, said in (("empty", "holds no photos"), ("nowhere", "There is no catalog"), ("broken", "None of these")):
        done = program("demo", "--photos", tmp_path / place, "--out", tmp_path / "out", "--json")
        assert (done.code, done.json["error"]["kind"]) == (1, "CatalogError")
        assert said in done.err
        assert not (tmp_path / "out" / "report.html").exists()


def test_the_demo_does_not_take_over_an_index_that_it_did_not_make(photos: Path, tmp_path: Path) -> None:
    own = tmp_path / "shop.index"
    own.mkdir()
    (own / "mine").write_text("mine")
    for arguments in (("--photos", photos), ()):
        done = program("demo", *arguments, "--out", tmp_path, "--json")
        assert (done.code, done.json["error"]["kind"]) == (2, "UsageError")
        assert "choose another folder with --out" in done.err
    assert [path.name for path in tmp_path.rglob("*")] == ["shop.index", "mine"]
