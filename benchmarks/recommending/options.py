"""What the commands on real purchases are told in the same words."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from vlm4rec_edge.evaluation.split import SameDay

RESULTS = Path(__file__).parents[1] / "results"

Data = Annotated[Path, typer.Option(help="A folder with items.csv, photos, interactions.csv, maybe baskets.csv.")]
Cache = Annotated[Path, typer.Option(help="Folder that keeps all that is expensive; run again to go on.")]
Group = Annotated[
    str, typer.Option(help="What variants of one product share, as in accuracy.py; adds tables without them.")
]
OrderOfDay = Annotated[
    SameDay,
    typer.Option(
        "--same-day",
        help="Items bought on one day: in the order of their ids, in random order, or those of the day of the first test item "
        "left out of the history (customers only).",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Only a sample of users and items, to try it.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the models; 0: all cores.")]
Plots = Annotated[bool, typer.Option(help="Draw the plots (matplotlib).")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]

# Where every row needs captions of its own: of so few items all are made within minutes.
QUICK_USERS, QUICK_ITEMS = 20, 400

_ABOUT_SAME_DAY = {
    "by-id": [],
    "random": ["Items that a user bought on one day come in random order, in each table the same for all rows."],
    "left-out": [
        "What a customer bought on the day of the first test item is left out of the history, and is no candidate."
    ],
}


def about_same_day(same_day: SameDay) -> list[str]:
    """Return what a page of results must say of it, if it is not the default."""
    return _ABOUT_SAME_DAY[same_day]


def result_name(command: str, same_day: SameDay, *, quick: bool) -> str:
    """Return what the files of a run are called."""
    return command + ("" if same_day == "by-id" else f"-{same_day}") + ("-quick" if quick else "")


def check_plots(*, wanted: bool) -> None:
    """End the command where plots are wanted and cannot be drawn: before the work, not after it."""
    if wanted and find_spec("matplotlib") is None:
        raise SystemExit("Error: matplotlib is not installed: pip install matplotlib (or use --no-plots)")
