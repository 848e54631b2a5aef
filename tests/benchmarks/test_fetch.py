"""benchmarks/fetch.py against a stand-in of the hub and of the photos' server: no test here needs the network."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetching.amazon import REPOSITORY, REVISION, photo_of
from made_reviews import Reviews, fill, serve
from recommending.shop import read_shop

import vlm4rec_edge

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fetch.py"
CATEGORY = "Made_Fashion"
# What huggingface_hub writes at a time (its DOWNLOAD_CHUNK_SIZE): less than this of a broken transfer is lost.
BLOCK = 10 * 1024 * 1024


@pytest.fixture
def reviews() -> Iterator[Reviews]:
    with serve() as state:
        fill(state, REPOSITORY, REVISION, CATEGORY)
        yield state


def run(reviews: Reviews, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
    }
    clean |= {"HF_ENDPOINT": reviews.address, "HF_HOME": str(out.parent / "huggingface")}
    clean |= {"PYTHONPATH": str(Path(vlm4rec_edge.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--category", CATEGORY, "--out", str(out), *more],
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_category_becomes_a_folder_that_the_benchmarks_read(reviews: Reviews, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    done = run(reviews, out)
    assert done.returncode == 0, done.stderr
    assert "names no licence" in done.stderr
    items = {row["id"]: row for row in rows_of(out / "items.csv")}
    interactions = rows_of(out / "interactions.csv")
    # Products without a photo in their data, or unknown, are no items; those whose photo can not be had are.
    assert not {"B007", "B010"} & items.keys()
    assert {"B008", "B012"} <= items.keys()
    assert {row["item_id"] for row in interactions} == set(items)
    assert {row["user_id"] for row in interactions} == set("123456")
    assert items["B000"]["title"] == "Product 0"
    assert items["B000"]["category"] == "Clothing > Shirts"
    assert items["B000"]["features"] == "cotton long"
    first = [row for row in interactions if row["user_id"] == "1" and row["item_id"] == "B000"]
    assert [row["date"] for row in first] == ["2020-09-13T12:26:40"]
    shop = read_shop(out)
    missing = [shop.ids[at] for at, photo in enumerate(shop.photos) if not photo.is_file()]
    assert missing == ["B008", "B012"]
    assert "no photo B008.jpg: HTTP 404" in done.stderr
    assert len(shop.tasks()[0].split) == 6
    about = json.loads((out / "about.json").read_text(encoding="utf-8"))
    assert about == json.loads(done.stdout)
    assert about["revision"] == REVISION
    assert about["items without a usable photo"] == 2
    assert about["products without a photo, left out"] == 2
    assert (about["users"], about["items"], about["interactions"]) == (6, len(items), len(interactions))


def test_a_second_run_sends_nothing_again_but_what_could_not_be_had(reviews: Reviews, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    first = run(reviews, out)
    reviews.asked.clear()
    second = run(reviews, out)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert {path for method, path, _ in reviews.asked if method == "GET"} == {"/photos/8.jpg", "/photos/12.jpg"}


def test_a_transfer_that_broke_off_goes_on(reviews: Reviews, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    fill(reviews, REPOSITORY, REVISION, CATEGORY, padding=2 * BLOCK)
    reviews.cut_at = BLOCK + 4096
    broken = run(reviews, out)
    assert broken.returncode == 1
    assert broken.stderr.splitlines()[-1].startswith("Error: ")
    assert "Run the same command again" in broken.stderr
    assert not (out / "items.csv").exists()
    reviews.cut_at = None
    reviews.asked.clear()
    done = run(reviews, out)
    assert done.returncode == 0, done.stderr
    assert reviews.sent(f"{CATEGORY}.jsonl")[0] == f"bytes={BLOCK}-"


def test_bytes_that_are_not_those_stated_are_thrown_away(reviews: Reviews, tmp_path: Path) -> None:
    path = next(path for path in reviews.files if "review_categories" in path)
    reviews.served[path] = reviews.files[path].replace(b"Nice.", b"Evil.")
    done = run(reviews, tmp_path / "shop")
    assert done.returncode == 1
    assert "arrived damaged and was thrown away" in done.stderr
    assert not list((tmp_path / "shop" / "source").iterdir())


def test_few_users_are_drawn_the_same_every_time(reviews: Reviews, tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        assert run(reviews, tmp_path / name, "--users", "2", "--no-photos").returncode == 0
        drawn.append((tmp_path / name / "interactions.csv").read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert {row["user_id"] for row in rows_of(tmp_path / "one" / "interactions.csv")} == {"1", "2"}
    assert not (tmp_path / "one" / "images").exists()


def test_what_can_not_be_had_is_a_sentence(reviews: Reviews, tmp_path: Path) -> None:
    nobody = run(reviews, tmp_path / "shop", "--min-items", "50", "--no-photos")
    assert nobody.returncode == 1
    assert f"Error: No user of {CATEGORY} has 50 different products" in nobody.stderr
    unknown = run(reviews, tmp_path / "shop", "--category", "No_Such", "--no-photos")
    assert unknown.returncode == 1
    assert "No_Such.jsonl can not be fetched" in unknown.stderr


def test_the_main_photo_is_taken_in_either_form() -> None:
    objects = [{"variant": "PT01", "large": "https://a/1"}, {"variant": "MAIN", "large": None, "hi_res": "https://a/2"}]
    lists = {"variant": ["PT01", "MAIN"], "large": ["https://a/1", None], "hi_res": [None, "https://a/2"]}
    assert photo_of(objects) == photo_of(lists) == "https://a/2"
    assert photo_of(objects[:1]) == "https://a/1"
    assert photo_of([]) == photo_of(None) == photo_of([{"variant": "MAIN", "large": "file:///etc/passwd"}]) == ""
