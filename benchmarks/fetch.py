"""Public sets with photos and real users, as folders that ``accuracy.py``, ``savings.py`` and ``knobs.py`` read.

Example:
    python benchmarks/fetch.py amazon --category Amazon_Fashion --users 2000 --out ../amazon-fashion
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from fetching import amazon, movielens
from fetching.download import fetch_hub_file, fetch_photos
from fetching.shop_folder import Taken, write_shop
from running.plain_help import plain_program

from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import UsageError, Vlm4RecError

app = plain_program(__doc__)

_Out = Annotated[Path, typer.Option(help="Folder for items.csv, interactions.csv, images and the files fetched.")]
_Users = Annotated[int, typer.Option(min=1, help="The number of users, sampled at random; all their items are kept.")]
_MinItems = Annotated[int, typer.Option(min=2, help="Users who took fewer different items are left out.")]
_Seed = Annotated[int, typer.Option(help="The sampling seed.")]


@app.command("amazon")
def fetch_amazon(
    out: _Out,
    category: Annotated[str, typer.Option(help="A category of Amazon Reviews 2023.")] = "Amazon_Fashion",
    users: _Users = 2000,
    min_items: _MinItems = 5,
    seed: _Seed = 0,
    revision: Annotated[str, typer.Option(help="Commit of the data set.")] = amazon.REVISION,
    photos: Annotated[bool, typer.Option(help="Fetch the photos, one a product.")] = True,
) -> None:
    """Fetch a category of Amazon Reviews 2023: products with photos, and who reviewed what and when.

    Reviews and products come from the Hugging Face hub at a fixed commit and are compared with the checksums it states;
    photos come from the addresses they name. Ctrl-C and the same command go on where it was. The names of users are
    replaced by numbers. Amazon_Fashion is some GB of text, All_Beauty some hundred MB.

    \b
    Examples:
      python benchmarks/fetch.py amazon --out ../amazon-fashion
      python benchmarks/fetch.py amazon --category All_Beauty --users 500 --out ../amazon-beauty
      python benchmarks/accuracy.py --data ../amazon-fashion --cache ../captions \\
        --sentence "{category} by {store}" --model ours=stylist-lvlm
    """  # noqa: D301 (click reads the control character)
    _say(amazon.LICENCE)
    try:
        files = [fetch_hub_file(file, out / "source", _say) for file in amazon.files_of(category, revision)]
        taken = amazon.chosen_reviews(files[0], users, min_items, seed)
        if not taken:
            raise UsageError(f"No user of {category} has {min_items} different products; lower --min-items.")
        rows, addresses = amazon.products(files[1], (own.item for own in taken))
        failures = _photos(out, addresses) if photos else {}
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    about = {
        "set": amazon.REPOSITORY,
        "revision": revision,
        "licence": amazon.LICENCE,
        "category": category,
        "settings": {"users": users, "min_items": min_items, "seed": seed},
        "sha256": {path.name: sha256_of(path) for path in files},
    }
    _finish(out, amazon.COLUMNS, rows, taken, about, failures)


@app.command("movielens")
def fetch_movielens(
    out: _Out,
    release: Annotated[
        str, typer.Option(help="A release with a checksum, such as ml-25m or ml-32m.")
    ] = movielens.RELEASE,
    users: _Users = 2000,
    min_items: _MinItems = 5,
    min_rating: Annotated[float, typer.Option(help="A film is taken by who gave it so many stars.")] = 4.0,
    seed: _Seed = 0,
    photos: Annotated[bool, typer.Option(help="Fetch the posters; TMDB_API_KEY holds your key of TMDB.")] = True,
    server: Annotated[str, typer.Option(help="Where MovieLens lies.")] = movielens.SERVER,
    tmdb: Annotated[str, typer.Option(help="TMDB's API and its photos, comma between them.")] = (
        f"{movielens.TMDB},{movielens.TMDB_PHOTOS}"
    ),
) -> None:
    """Fetch MovieLens: films with posters, and who liked what and when.

    MovieLens holds no posters; TMDB does, and asks for a key that is free of charge (themoviedb.org, settings, API). Without
    one use --no-photos and put posters of your own into images, each named by the film's number. Ctrl-C and the same
    command go on where it was.

    \b
    Examples:
      TMDB_API_KEY=... python benchmarks/fetch.py movielens --users 1000 --out ../films
      python benchmarks/accuracy.py --data ../films --cache ../captions \\
        --sentence "{genres} of {year}" --model smolvlm=smolvlm-256m-instruct
    """  # noqa: D301 (click reads the control character)
    _say(movielens.LICENCE)
    try:
        key = os.environ.get("TMDB_API_KEY", "")
        if photos and not key:
            raise UsageError("Posters need a key of TMDB in the environment, TMDB_API_KEY; or use --no-photos.")
        archive = movielens.fetch_release(release, server, out / "source", _say)
        taken = movielens.liked(archive, min_rating, users, min_items, seed)
        if not taken:
            raise UsageError(
                f"No user gave {min_rating:g} stars to {min_items} films; lower --min-items or --min-rating."
            )
        rows, numbers = movielens.films(archive, {own.item for own in taken})
        failures: dict[Path, str] = {}
        if photos:
            kept = out / "source" / "posters.jsonl"
            addresses = movielens.poster_addresses(numbers, key, tmdb.split(","), kept, _say)
            failures = _photos(out, {film: address for film, address in addresses.items() if address})
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    about = {
        "set": "MovieLens",
        "revision": release,
        "licence": movielens.LICENCE,
        "settings": {"users": users, "min_items": min_items, "min_rating": min_rating, "seed": seed},
        "sha256": {archive.name: sha256_of(archive)},
    }
    _finish(out, movielens.COLUMNS, rows, taken, about, failures)


def _photos(out: Path, addresses: Mapping[str, str]) -> dict[Path, str]:
    failures = fetch_photos({out / "images" / f"{item}.jpg": url for item, url in addresses.items()}, _say)
    for path, reason in list(failures.items())[:5]:
        _say(f"no photo {path.name}: {reason}")
    return failures


def _finish(
    out: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    taken: Sequence[Taken],
    about: Mapping[str, Any],
    failures: Mapping[Path, str],
) -> None:
    """Write the folder's tables and what is said about it. Items without a photo stay: the benchmark counts them."""
    interactions = write_shop(out, columns, rows, taken)
    whole = {
        **about,
        "users": len({own.user for own in taken}),
        "items": len(rows),
        "items whose photo cannot be had": len(failures),
        "left out for want of a photo or of all data": len({own.item for own in taken}) - len(rows),
        "interactions": interactions,
    }
    text = json.dumps(whole, indent=1) + "\n"
    (out / "about.json").write_text(text, encoding="utf-8")
    typer.echo(text, nl=False)


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    app()
