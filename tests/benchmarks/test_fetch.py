"""benchmarks/fetch.py against a stand-in of the hub and of the photos' server: no test here needs the network."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
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


def amazon(reviews: Reviews, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run(reviews, out, "amazon", "--category", CATEGORY, *more)


def run(reviews: Reviews, out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
    }
    clean |= {"HF_ENDPOINT": reviews.address, "HF_HOME": str(out.parent / "huggingface")}
    clean |= {"PYTHONPATH": str(Path(vlm4rec_edge.__file__).parent.parent)}
    clean |= environment
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, "--out", str(out)],
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
    done = amazon(reviews, out)
    assert done.returncode == 0, done.stderr
    assert "names no licence" in done.stderr
    items = {row["id"]: row for row in rows_of(out / "items.csv")}
    interactions = rows_of(out / "interactions.csv")
    # Products without a photo in their data, or unknown, are no items; those whose photo cannot be had are.
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
    assert about["items whose photo cannot be had"] == 2
    assert about["left out for want of a photo or of all data"] == 2
    assert (about["users"], about["items"], about["interactions"]) == (6, len(items), len(interactions))


def test_a_second_run_sends_nothing_again_but_what_could_not_be_had(reviews: Reviews, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    first = amazon(reviews, out)
    reviews.asked.clear()
    second = amazon(reviews, out)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    # What the hub's library asks about itself under /api/ is no file.
    got = {path for method, path, _ in reviews.asked if method == "GET" and not path.startswith("/api/")}
    assert got == {"/photos/8.jpg", "/photos/12.jpg"}


def test_a_transfer_that_broke_off_goes_on(reviews: Reviews, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    fill(reviews, REPOSITORY, REVISION, CATEGORY, padding=2 * BLOCK)
    reviews.cut_at = BLOCK + 4096
    broken = amazon(reviews, out)
    assert broken.returncode == 1
    assert broken.stderr.splitlines()[-1].startswith("Error: ")
    assert "Run the same command again" in broken.stderr
    assert not (out / "items.csv").exists()
    reviews.heal()
    done = amazon(reviews, out)
    assert done.returncode == 0, done.stderr
    assert reviews.transfers(f"{CATEGORY}.jsonl")[0] == f"bytes={BLOCK}-"


def test_bytes_that_are_not_those_stated_are_thrown_away(reviews: Reviews, tmp_path: Path) -> None:
    path = next(path for path in reviews.files if "review_categories" in path)
    reviews.served[path] = reviews.files[path].replace(b"Nice.", b"Evil.")
    done = amazon(reviews, tmp_path / "shop")
    assert done.returncode == 1
    assert "arrived damaged and was thrown away" in done.stderr
    assert not list((tmp_path / "shop" / "source").iterdir())


def test_few_users_are_drawn_the_same_every_time(reviews: Reviews, tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        assert amazon(reviews, tmp_path / name, "--users", "2", "--no-photos").returncode == 0
        drawn.append((tmp_path / name / "interactions.csv").read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert {row["user_id"] for row in rows_of(tmp_path / "one" / "interactions.csv")} == {"1", "2"}
    assert not (tmp_path / "one" / "images").exists()


def test_what_cannot_be_had_is_a_sentence(reviews: Reviews, tmp_path: Path) -> None:
    nobody = amazon(reviews, tmp_path / "shop", "--min-items", "50", "--no-photos")
    assert nobody.returncode == 1
    assert f"Error: No user of {CATEGORY} has 50 different products" in nobody.stderr
    unknown = amazon(reviews, tmp_path / "shop", "--category", "No_Such", "--no-photos")
    assert unknown.returncode == 1
    assert "No_Such.jsonl cannot be fetched" in unknown.stderr


def test_the_main_photo_is_taken_in_either_form() -> None:
    objects = [{"variant": "PT01", "large": "https://a/1"}, {"variant": "MAIN", "large": None, "hi_res": "https://a/2"}]
    lists = {"variant": ["PT01", "MAIN"], "large": ["https://a/1", None], "hi_res": [None, "https://a/2"]}
    assert photo_of(objects) == photo_of(lists) == "https://a/2"
    assert photo_of(objects[:1]) == "https://a/1"
    assert photo_of([]) == photo_of(None) == photo_of([{"variant": "MAIN", "large": "file:///etc/passwd"}]) == ""


RELEASE = "ml-made"


def fill_movielens(state: Reviews) -> None:
    """Put a made release there: 6 users who like 6 films each and one who likes none; film 5 is not known at TMDB."""
    ratings = ["userId,movieId,rating,timestamp"]
    for user in range(7):
        for place in range(6):
            ratings.append(
                f"{user + 1},{1 + (user + place) % 12},{4.5 if user < 6 else 2.0},{1_000_000_000 + 60 * place}"
            )
    movies = ["movieId,title,genres"] + [
        f'{film},"Film, The {film} (19{60 + film})",Drama|War' for film in range(1, 12)
    ]
    movies.append("12,Untitled,(no genres listed)")
    links = ["movieId,imdbId,tmdbId"] + [f"{film},00{film},{'' if film == 5 else 100 + film}" for film in range(1, 13)]
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, lines in (("ratings", ratings), ("movies", movies), ("links", links)):
            archive.writestr(f"{RELEASE}/{name}.csv", "\n".join(lines) + "\n")
    state.files[f"/{RELEASE}.zip"] = whole.getvalue()
    state.files[f"/{RELEASE}.zip.md5"] = f"{hashlib.md5(whole.getvalue()).hexdigest()}  {RELEASE}.zip\n".encode()
    for film in range(1, 12):
        answer = {"id": 100 + film, "poster_path": None if film == 6 else f"/{film}.jpg"}
        state.files[f"/3/movie/{100 + film}?api_key=made"] = json.dumps(answer).encode()


def movielens(reviews: Reviews, out: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    servers = ["--server", reviews.address, "--tmdb", f"{reviews.address},{reviews.address}/photos"]
    return run(reviews, out, "movielens", "--release", RELEASE, *servers, *more, **environment)


def test_films_that_were_liked_become_a_folder(reviews: Reviews, tmp_path: Path) -> None:
    fill_movielens(reviews)
    out = tmp_path / "films"
    done = movielens(reviews, out, TMDB_API_KEY="made")
    assert done.returncode == 0, done.stderr
    assert "not be passed on without permission" in done.stderr
    items = {row["id"]: row for row in rows_of(out / "items.csv")}
    # Six users of six films in a row: the twelfth is nobody's, the fifth unknown at TMDB.
    assert set(items) == {str(film) for film in range(1, 12)} - {"5"}
    assert items["3"] == {"id": "3", "image": "3.jpg", "title": "Film, The 3", "genres": "Drama, War", "year": "1963"}
    interactions = rows_of(out / "interactions.csv")
    assert {row["user_id"] for row in interactions} == set("123456")
    assert interactions[0]["date"] == "2001-09-09T01:46:40"
    shop = read_shop(out)
    assert [shop.ids[at] for at, photo in enumerate(shop.photos) if not photo.is_file()] == ["6", "8"]
    reviews.asked.clear()
    again = movielens(reviews, out, TMDB_API_KEY="made")
    assert again.stdout == done.stdout
    assert {path for method, path, _ in reviews.asked if method == "GET"} == {f"/{RELEASE}.zip.md5", "/photos/8.jpg"}


def test_a_release_goes_on_where_it_stopped_and_is_checked(reviews: Reviews, tmp_path: Path) -> None:
    fill_movielens(reviews)
    whole = reviews.files[f"/{RELEASE}.zip"]
    digest = hashlib.md5(whole).hexdigest()
    out = tmp_path / "films"
    (out / "source").mkdir(parents=True)
    (out / "source" / f"{RELEASE}.zip.{digest[:16]}.part").write_bytes(whole[:100])
    assert movielens(reviews, out, "--no-photos").returncode == 0
    assert reviews.transfers(f"{RELEASE}.zip") == ["bytes=100-"]
    reviews.served[f"/{RELEASE}.zip"] = whole[:-1] + b"x"
    damaged = movielens(reviews, tmp_path / "other", "--no-photos")
    assert damaged.returncode == 1
    assert "arrived damaged and was thrown away" in damaged.stderr


def test_without_a_key_there_are_no_posters(reviews: Reviews, tmp_path: Path) -> None:
    fill_movielens(reviews)
    done = movielens(reviews, tmp_path / "films", TMDB_API_KEY="")
    assert done.returncode == 1
    assert "Posters need a key of TMDB" in done.stderr
    wrong = movielens(reviews, tmp_path / "films", "--no-photos", "--min-rating", "5")
    assert "No user gave 5 stars to 5 films" in wrong.stderr
