"""``demo``: the whole way, from pictures to recommendations, in one command."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, table

if TYPE_CHECKING:
    from vlm4rec_edge.demo.contents import Shopper
    from vlm4rec_edge.demo.run import DemoResult

_OUT, _OUT_OF_PHOTOS = Path("demo-output"), Path("demo-of-photos")


def demo(
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Your own photos: a folder, or a table as for `vlm4rec-edge index`. The shoppers are made up then, from "
            "groups of photos whose captions are alike.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=f"The folder for the index and the report. Default: {_OUT}, and with --photos {_OUT_OF_PHOTOS}.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Caption a small shop that the package brings, index it, recommend from it in two ways, and write report.html.

    The report sets side by side what the words recommend and what the photos alone do. Beside it are left an index and the
    shop's files, to go on with.

    \b
    Examples:
      vlm4rec-edge demo --out my-demo
      vlm4rec-edge demo --photos my-photos
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.catalog.reader import open_catalog
    from vlm4rec_edge.cli.progress import progress_bar
    from vlm4rec_edge.demo.run import run_demo, run_demo_of_photos
    from vlm4rec_edge.demo.shop_files import ITEM_COUNT

    catalog = None if photos is None else open_catalog(photos)
    count = ITEM_COUNT if catalog is None else catalog.count() or 0
    with progress_bar("Captioning", count, shown=not as_json) as advance:
        if catalog is None:
            result = run_demo(out or _OUT, on_progress=lambda progress: advance(progress.done))
        else:
            place = out or _OUT_OF_PHOTOS
            result = run_demo_of_photos(catalog, place, on_progress=lambda progress: advance(progress.done))
    if as_json:
        emit_json(_document(result))
    else:
        _tell(result)
    if result.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _tell(result: DemoResult) -> None:
    for shopper in result.shoppers:
        words, by_photos = shopper.ways
        table(
            f"{shopper.name} bought: {', '.join(item.title or item.item_id for item in shopper.history)}",
            ["by the words, with the caption", "by the photos"],
            [
                [offer.item.title or offer.item.item_id, other.item.title or other.item.item_id]
                for offer, other in zip(words.offers, by_photos.offers, strict=True)
            ],
            [offer.item.caption for offer in words.offers],
        )
        typer.echo()
    for where, reason in result.failures:
        note(f"{where}: {reason}")
    speed = f" at {result.captions_per_second:.1f} a second" if result.captions_per_second else " in an earlier run"
    typer.echo(f"{result.items} pictures captioned{speed}. {result.shown}")
    note(f"Open {result.report} in a browser to see it all. To shop in it yourself:")
    typer.echo(f"{_program()} serve {shlex.quote(str(result.index))} --open")


def _document(result: DemoResult) -> dict[str, Any]:
    return {
        "report": str(result.report),
        "index": str(result.index),
        "items": result.items,
        "captions_per_second": round(result.captions_per_second, 2),
        "shoppers": [_document_of(shopper) for shopper in result.shoppers],
        "tastes": [count.to_dict() for count in result.counts],
        "failures": [{"where": where, "reason": reason} for where, reason in result.failures],
    }


def _document_of(shopper: Shopper) -> dict[str, Any]:
    words, by_photos = (
        [{"item_id": offer.item.item_id, "score": offer.score} for offer in way.offers] for way in shopper.ways
    )
    history = [item.item_id for item in shopper.history]
    return {"name": shopper.name, "history": history, "recommendations": words, "by_photos": by_photos}


def _program() -> str:
    """Return the program as it can be typed here: by its name, or where that is not found, as it was typed."""
    name = "vlm4rec-edge"
    return name if shutil.which(name) else shlex.quote(sys.argv[0])
