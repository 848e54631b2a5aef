"""The same items in an index folder and in a LanceDB table: are the ten best the same, and what do they take?

Example:
    python benchmarks/lance_table.py --items 100000 --histories 1000
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from running.results_file import write_results
from timing.made_index import made_histories, made_index

from vlm4rec_edge import Recommender, Selection, export_to_lancedb
from vlm4rec_edge.given import Place
from vlm4rec_edge.index import GRAPH_AFTER
from vlm4rec_edge.recommend.history import History

RESULTS = Path(__file__).with_name("results")
_BEST = 10
# A tenth of the items pass the first, one in two hundred the second.
_FILTERS = {"all": None, "where price < 15": "price < 15", "where price = 20": "price = 20 and audience != 'Kids'"}
_LENGTHS = (1, 3, 10)
# Scores that differ by less are one: the two sum in another order.
_SAME_SCORE = 1e-5


def bytes_of(folder: Path) -> int:
    """Return how much a folder takes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(shop: Recommender, histories: Sequence[History], selection: Selection) -> tuple[list[Any], np.ndarray]:
    """Return the answers, and how long each took, in milliseconds [histories]."""
    answers, seconds = [], []
    for history in histories:
        started = time.perf_counter()
        answers.append(shop.recommend(history.items, _BEST, selection=selection))
        seconds.append(time.perf_counter() - started)
    return answers, np.array(seconds) * 1000


def differing(local: Sequence[Any], table: Sequence[Any], exact: Sequence[Any]) -> dict[str, float]:
    """Return in how many answers the table's ten are those of the index, and how many of the exact ten each finds."""

    def found(answers: Sequence[Any]) -> float:
        return float(np.mean([_shared(one, other) for one, other in zip(answers, exact, strict=True)]))

    same = [_shared(one, other) == 1.0 for one, other in zip(table, local, strict=True)]
    return {"same ten": float(np.mean(same)), "index finds": found(local), "table finds": found(table)}


def _shared(one: Any, other: Any) -> float:
    """Return which part of ``other`` is in ``one``; one that ties with the last of ``one`` is found as well."""
    ids = {hit.item_id for hit in one}
    last = min((hit.score for hit in one), default=np.inf)
    held = [hit.item_id in ids or abs(hit.score - last) <= _SAME_SCORE for hit in other]
    return float(np.mean(held)) if held else 1.0


def opened(place: Place, warm: History) -> tuple[Recommender, float]:
    """Return an open index, and the seconds until it has answered once."""
    started = time.monotonic()
    shop = Recommender.open(place)
    shop.recommend(warm.items, _BEST)
    return shop, time.monotonic() - started


def main(
    items: Annotated[int, typer.Option(help="Made items.")] = 100_000,
    histories: Annotated[int, typer.Option(help="Made histories, for each filter.")] = 1000,
    work: Annotated[Path | None, typer.Option(help="Folder for the made index; kept for the next run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Export a made index into a LanceDB table and ask both."""
    with tempfile.TemporaryDirectory(dir=".") as own:
        folder = work or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        index, _ = made_index(folder, items, graph=True)
        database = Path(own) / "shop.lancedb"
        started = time.monotonic()
        export_to_lancedb(index, f"lancedb://{database}")
        written = time.monotonic() - started
        rows, figures = _compared(index, f"lancedb://{database}", items, histories)
        taken = {"index": bytes_of(index), "table": bytes_of(database)}
    remarks = [
        f"{items:,} made items with vectors of 384 values, {histories:,} histories of 1, 3 or 10 items for each filter.",
        f"Exporting took {written:.1f} s, the vector index included. On disk: the index {taken['index'] / 1e6:.0f} MB, its "
        f"search graph included, the table {taken['table'] / 1e6:.0f} MB.",
        "The index is searched by its graph, the table by LanceDB's vector index; up to 20,000 items both are scanned. What "
        "is found is compared with an exact scan of the index.",
        "Opening and the first answer: "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in figures["first answer, s"].items())
        + "; lancedb was imported before.",
    ]
    more = {"figures": {**figures, "export, s": written, "bytes": taken}}
    typer.echo(write_results(out, "lance-table", "A LanceDB table beside an index", rows, remarks, more=more))


def _compared(index: Path, address: str, items: int, count: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    histories = [
        history
        for length in _LENGTHS
        for history in made_histories(-(-count // len(_LENGTHS)), items, length, seed=length)
    ][:count]
    local, first_local = opened(index, histories[0])
    table, first_table = opened(address, histories[0])
    rows, told = [], []
    with local, table, Recommender.open(index, exact_limit=items) as exact:
        for name, where in _FILTERS.items():
            selection = Selection(where=where)
            for shop in (local, table):  # the first answer decides the filter, and loads the graph
                _warm(shop, histories[0], selection)
            answers, milliseconds = zip(*(timed(shop, histories, selection) for shop in (local, table)), strict=True)
            shares = differing(answers[0], answers[1], timed(exact, histories, selection)[0])
            told.append({"filter": name, **shares, "methods": [local.method, table.method]})
            percentiles = [np.percentile(each, [50, 95]).tolist() for each in milliseconds]
            told[-1]["index, ms (p50, p95)"], told[-1]["table, ms (p50, p95)"] = percentiles
            rows.append(
                {
                    "items": name,
                    "the same ten": f"{shares['same ten']:.1%}",
                    "of the exact ten: index, table": f"{shares['index finds']:.2%}, {shares['table finds']:.2%}",
                    "index, ms (p50, p95)": _pair(percentiles[0]),
                    "table, ms (p50, p95)": _pair(percentiles[1]),
                }
            )
    return rows, {"answers": told, "first answer, s": {"index": first_local, "table": first_table}}


def _warm(shop: Recommender, history: History, selection: Selection) -> None:
    for _ in range(GRAPH_AFTER + 1):
        shop.recommend(history.items, _BEST, selection=selection)


def _pair(percentiles: Sequence[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in percentiles)


if __name__ == "__main__":
    typer.run(main)
