"""Public sets with photos and real users, as folders that ``accuracy.py``, ``savings.py`` and ``knobs.py`` read.

Example:
    python benchmarks/fetch.py --category Amazon_Fashion --users 2000 --out ../amazon-fashion
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from fetching import amazon
from fetching.download import fetch_hub_file, fetch_photos

from vlm4rec_edge.errors import UsageError, Vlm4RecError
from vlm4rec_edge.models.manifest import sha256_of


def main(
    out: Annotated[Path, typer.Option(help="Folder for items.csv, interactions.csv, images and the files fetched.")],
    category: Annotated[str, typer.Option(help="A category of Amazon Reviews 2023.")] = "Amazon_Fashion",
    users: Annotated[
        int, typer.Option(min=1, help="So many users, drawn by chance; all their products are items.")
    ] = 2000,
    min_items: Annotated[int, typer.Option(min=2, help="Users with fewer different products are left out.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    revision: Annotated[str, typer.Option(help="Commit of the data set.")] = amazon.REVISION,
    photos: Annotated[bool, typer.Option(help="Fetch the photos, one a product.")] = True,
) -> None:
    """Fetch a category of Amazon Reviews 2023: products with photos, and who reviewed what and when.

    Reviews and products come from the Hugging Face hub at a fixed commit and are compared with the checksums it states;
    photos come from the addresses they name. Ctrl-C and the same command go on where it was. The names of users are
    replaced by numbers. Amazon_Fashion is about 2.5 GB of text, All_Beauty 0.5 GB.

    \b
    Examples:
      python benchmarks/fetch.py --out ../amazon-fashion
      python benchmarks/fetch.py --category All_Beauty --users 500 --out ../amazon-beauty
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
        failures = {}
        if photos:
            (out / "images").mkdir(parents=True, exist_ok=True)
            failures = fetch_photos({out / "images" / f"{item}.jpg": url for item, url in addresses.items()}, _say)
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    for path, reason in list(failures.items())[:5]:
        _say(f"no photo {path.name}: {reason}")
    # Items without a photo stay: they are candidates, and the benchmark counts them.
    interactions = amazon.write_shop(out, rows, taken)
    about = {
        "set": amazon.REPOSITORY,
        "revision": revision,
        "licence": amazon.LICENCE,
        "category": category,
        "settings": {"users": users, "min_items": min_items, "seed": seed},
        "sha256": {path.name: sha256_of(path) for path in files},
        "users": len({own.user for own in taken}),
        "items": len(rows),
        "items without a usable photo": len(failures),
        "products without a photo, left out": len({own.item for own in taken}) - len(rows),
        "interactions": interactions,
    }
    (out / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(about, indent=1))


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    # Plain help: square brackets in it are no markup.
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    app()
