"""`demo` makes the whole way in one command, and a report that a person can open."""

from __future__ import annotations

import base64
import io
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import pytest
from drawings.kinds import KINDS
from PIL import Image
from program import Done, program

from vlm4rec_edge import Recommender


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
    assert set(document) >= {"report", "index", "items", "captions_per_second", "shoppers"}
    assert document["items"] >= 60
    assert document["captions_per_second"] > 0
    assert len(document["shoppers"]) >= 2
    for shopper in document["shoppers"]:
        recommended = [entry["item_id"] for entry in shopper["recommendations"]]
        assert shopper["history"]
        assert len(recommended) >= 5
        assert not set(recommended) & set(shopper["history"])
        scores = [entry["score"] for entry in shopper["recommendations"]]
        assert scores == sorted(scores, reverse=True)


def test_it_ends_with_the_command_that_opens_its_shop_in_the_page(demo: Done, folder: Path) -> None:
    done = program("demo", "--out", "my demo", cwd=folder)
    name, *arguments = shlex.split(done.out.splitlines()[-1])
    assert arguments == ["serve", demo.json["index"], "--open"]
    assert shutil.which(name), "it can be typed as it stands"


def test_its_recommendations_are_those_of_its_index(demo: Done, folder: Path) -> None:
    with Recommender.open(folder / demo.json["index"]) as shop:
        for shopper in demo.json["shoppers"]:
            found = shop.recommend(shopper["history"], len(shopper["recommendations"]))
            assert [hit.item_id for hit in found] == [entry["item_id"] for entry in shopper["recommendations"]]


def test_the_report_shows_every_item_with_its_photo_and_caption(demo: Done, folder: Path, page: str) -> None:
    with Recommender.open(folder / demo.json["index"]) as shop:
        items = list(shop.store.items())
    assert len(items) == demo.json["items"]
    words = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    for item in items:
        assert item.title in words
        first = item.caption.partition(". ")[0]
        assert first in words
    assert len({item.attributes["kind"] for item in items}) >= min(8, len(KINDS))
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) >= len(items) + sum(len(shopper["history"]) for shopper in demo.json["shoppers"])
    with Image.open(io.BytesIO(base64.b64decode(pictures[-1]))) as picture:
        assert picture.width >= 100


def test_the_report_shows_each_shopper_with_history_and_scores(demo: Done, page: str) -> None:
    for shopper in demo.json["shoppers"]:
        assert f"<h2>{shopper['name']}</h2>" in page
        for entry in shopper["recommendations"]:
            assert f"{entry['score']:.3f}" in page


def test_the_report_needs_nothing_beside_it(page: str) -> None:
    assert not re.search(r"<script|<link|<iframe|src=\"(?!data:)|href=|url\(|https?://", page)


def test_the_demo_again_does_only_what_is_not_done_and_tells_people(demo: Done, folder: Path, page: str) -> None:
    done = program("demo", "--out", "my demo", cwd=folder)
    assert done.code == 0
    assert f"{demo.json['items']} pictures captioned" in done.out
    for shopper in demo.json["shoppers"]:
        assert f"{shopper['name']} bought: " in done.out
    assert "report.html" in done.err


def test_a_place_that_can_not_hold_the_demo_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        done = program("demo", "--out", tmp_path / place, "--json")
        assert done.code == 1
        assert str(tmp_path / "file") in done.err
        assert "error" in done.json
    assert (tmp_path / "file").read_text() == "mine"
