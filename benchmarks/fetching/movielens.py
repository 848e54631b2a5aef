"""MovieLens with posters as a folder of a shop: who liked which films, and what their posters look like.

Source: Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 2015; https://grouplens.org/datasets/movielens.
It holds no posters, but each film's number at TMDB, which tells where the poster is (https://developer.themoviedb.org/docs).
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fetching.download import FetchError, fetch_file, fetch_text
from fetching.shop_folder import Taken
from vlm4rec_edge.errors import CatalogError

# A release that does not change, with a checksum beside it.
RELEASE = "ml-25m"
SERVER = "https://files.grouplens.org/datasets/movielens"
TMDB, TMDB_PHOTOS = "https://api.themoviedb.org", "https://image.tmdb.org/t/p/w342"
LICENCE = (
    "MovieLens may be used for research, not for money, and not be passed on without permission of GroupLens, University of "
    "Minnesota. Posters belong to the studios and come from TMDB, whose API is neither endorsed nor certified by it."
)
COLUMNS = ("id", "image", "title", "genres", "year")
# TMDB asks for no more than some fifty questions a second.
_TOGETHER = 4
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")


def fetch_release(release: str, server: str, folder: Path, say: Callable[[str], None]) -> Path:
    """Return the zip file of a release, whole.

    Raises:
        FetchError: it cannot be had, or there is no checksum beside it.
    """
    stated = re.search(r"\b[0-9a-f]{32}\b", fetch_text(f"{server}/{release}.zip.md5"))
    if stated is None:
        raise FetchError(
            f"{server}/{release}.zip.md5 holds no checksum; choose a release that has one, such as {RELEASE}."
        )
    return fetch_file(f"{server}/{release}.zip", folder / f"{release}.zip", stated[0], say)


def liked(archive: Path, least_rating: float, users: int, least: int, seed: int) -> list[Taken]:
    """Return what ``users`` users liked, drawn among those who rated ``least`` films or more with ``least_rating`` or better.

    Users come in the order of the file, so it is read twice and never lies in memory whole.
    """
    counts = Counter(row["userId"] for row in _table(archive, "ratings.csv") if float(row["rating"]) >= least_rating)
    enough = sorted((user for user, count in counts.items() if count >= least), key=int)
    drawn = {enough[at] for at in np.random.default_rng(seed).permutation(len(enough))[:users]}
    return [
        Taken(row["userId"], row["movieId"], float(row["timestamp"]))
        for row in _table(archive, "ratings.csv")
        if row["userId"] in drawn and float(row["rating"]) >= least_rating
    ]


def films(archive: Path, wanted: set[str]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the rows of ``items.csv`` of the wanted films that TMDB knows, and their numbers there."""
    numbers = {row["movieId"]: row["tmdbId"] for row in _table(archive, "links.csv") if row["tmdbId"]}
    rows = []
    for row in _table(archive, "movies.csv"):
        film = row["movieId"]
        if film in wanted and film in numbers:
            year = _YEAR.search(row["title"])
            genres = "" if row["genres"].startswith("(") else row["genres"].replace("|", ", ")
            title = _YEAR.sub("", row["title"])
            rows.append(
                {"id": film, "image": f"{film}.jpg", "title": title, "genres": genres, "year": year[1] if year else ""}
            )
    return rows, {row["id"]: numbers[row["id"]] for row in rows}


def poster_addresses(
    numbers: Mapping[str, str], key: str, servers: Sequence[str], kept: Path, say: Callable[[str], None]
) -> dict[str, str]:
    """Return where the posters are, film by film, empty where there is none; answers are kept in a file.

    Args:
        numbers: The number of each film at TMDB.
        key: The user's own key of TMDB's API.
        servers: The addresses of its API and of its photos.
        kept: JSONL file of answers; those that are there are not asked for again.
        say: Told how far it is.

    Raises:
        FetchError: the key is not accepted, or the server cannot be reached.
    """
    known = dict(json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()) if kept.is_file() else {}
    to_do = [film for film in numbers if film not in known]
    say(f"{len(to_do):,} of {len(numbers):,} posters to look up")

    def ask(film: str) -> str:
        try:
            answer = json.loads(fetch_text(f"{servers[0]}/3/movie/{numbers[film]}?api_key={key}"))
        except FetchError as error:
            if "HTTP 404" in str(error):  # films are taken out of it now and then
                return ""
            raise
        path = answer.get("poster_path")
        return f"{servers[1]}{path}" if path else ""

    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as stream, ThreadPoolExecutor(_TOGETHER) as threads:
        for film, address in zip(to_do, threads.map(ask, to_do), strict=True):
            known[film] = address
            stream.write(json.dumps([film, address]) + "\n")
    return {film: known[film] for film in numbers}


def _table(archive: Path, name: str) -> Iterator[dict[str, str]]:
    with zipfile.ZipFile(archive) as whole:
        found = [member for member in whole.namelist() if member.rpartition("/")[2] == name]
        if not found:
            raise CatalogError(f"{archive.name} has no {name}; choose a release with ratings, films and links.")
        with whole.open(found[0]) as stream:
            yield from csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
