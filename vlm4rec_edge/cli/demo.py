"""``vlm4rec-edge demo``: the whole way, from pictures to recommendations, in one command."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, note, table


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder for the pictures, the index and the report.")
    ] = Path("demo-output"),
    as_json: options.AsJson = False,
) -> None:
    """Caption the demo shop of this package, index it, recommend from it, and write report.html.

    The JSON document: {"report", "index", "items", "captions_per_second", "shoppers": [{"name", "history": [id],
    "recommendations": [{"item_id", "score"}]}]}.

    \b
    Example:
      vlm4rec-edge demo --out my-demo
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.progress import progress_bar
    from vlm4rec_edge.demo.run import ITEM_COUNT, run_demo

    with progress_bar("Captioning the demo shop", ITEM_COUNT, shown=not as_json) as advance:
        result = run_demo(out, on_progress=lambda progress: advance(progress.done))
    if as_json:
        emit_json(
            {
                "report": str(result.report),
                "index": str(result.index),
                "items": result.items,
                "captions_per_second": round(result.captions_per_second, 2),
                "shoppers": [
                    {
                        "name": shopper.name,
                        "history": [item.item_id for item in shopper.history],
                        "recommendations": [
                            {"item_id": item.item_id, "score": score} for item, score in shopper.recommendations
                        ],
                    }
                    for shopper in result.shoppers
                ],
            }
        )
        return
    for shopper in result.shoppers:
        table(
            f"{shopper.name} bought: {', '.join(item.title for item in shopper.history)}",
            ["recommended", "score", "caption"],
            [[item.title, f"{score:.3f}", item.caption] for item, score in shopper.recommendations],
        )
        typer.echo()
    speed = f" at {result.captions_per_second:.1f} a second" if result.captions_per_second else " in an earlier run"
    typer.echo(f"{result.items} pictures captioned{speed}.")
    note(f"Open {result.report} in a browser to see it all. To shop in it yourself:")
    typer.echo(f"{_program()} serve {shlex.quote(str(result.index))} --open")


def _program() -> str:
    """Return the program as it can be typed here: by its name, or where that is not found, as it was typed."""
    name = "vlm4rec-edge"
    return name if shutil.which(name) else shlex.quote(sys.argv[0])
