"""How long users wait: retrieval beside other engines, cold start, options of recommend, bundles, whole shops.

Example:
    python benchmarks/latency.py --sections retrieval,cold,options,bundles,batch
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from results_file import Section, write_report

RESULTS = Path(__file__).with_name("results")
_SECTIONS = ("retrieval", "cold", "options", "bundles", "batch")


def main(
    sections: Annotated[str, typer.Option(help="Which tables, comma between them.")] = ",".join(_SECTIONS),
    sizes: Annotated[str, typer.Option(help="Vectors of the retrieval table.")] = "10000,100000,1000000",
    items: Annotated[int, typer.Option(help="Items of cold start and bundles.")] = 10_000,
    option_items: Annotated[int, typer.Option(help="Items of the options table.")] = 100_000,
    batch_items: Annotated[str, typer.Option(help="Items of the batch table.")] = "10000,100000",
    batch_users: Annotated[str, typer.Option(help="Users of the batch table, one number for each of its items.")] = (
        "100000,100000"
    ),
    queries: Annotated[int, typer.Option(min=1, help="Questions a run.")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="Questions asked together in the retrieval table.")] = 256,
    runs: Annotated[int, typer.Option(min=1, help="Runs; the median counts.")] = 5,
    batch_runs: Annotated[int, typer.Option(min=1, help="Runs of the batch table, which are long.")] = 3,
    processes: Annotated[int, typer.Option(min=1, help="Fresh processes of the cold start table.")] = 20,
    work: Annotated[
        Path, typer.Option(help="Folder for made indexes and other engines' graphs; kept, and used again.")
    ] = Path("latency-work"),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
    name: Annotated[str, typer.Option(help="Name of the result files.")] = "latency-online",
) -> None:
    r"""Measure what the online half takes, on a quiet machine. Linux and macOS.

    \b
    Examples:
      python benchmarks/latency.py
      python benchmarks/latency.py --sections cold,bundles
      python benchmarks/latency.py --sections retrieval --sizes 10000,100000
    """
    import latency_online
    import latency_retrieval

    wanted = [part.strip() for part in sections.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in _SECTIONS]
    if unknown or not wanted:
        raise typer.BadParameter(f"There is no table {', '.join(unknown)!r}; the tables are {', '.join(_SECTIONS)}.")
    batch_sizes, batch_counts = (_numbers(text) for text in (batch_items, batch_users))
    if len(batch_sizes) != len(batch_counts):
        raise typer.BadParameter("--batch-items and --batch-users have one number for each other.")
    work.mkdir(parents=True, exist_ok=True)
    measure: dict[str, Callable[[], Section]] = {
        "retrieval": lambda: latency_retrieval.retrieval(
            work, _numbers(sizes), queries=queries, batch=batch, runs=runs
        ),
        "cold": lambda: latency_online.cold(work, items, processes=processes),
        "options": lambda: latency_online.options(work, option_items, queries=queries, runs=runs),
        "bundles": lambda: latency_online.bundles(work, items, runs=max(runs, processes)),
        "batch": lambda: latency_online.batches(work, batch_sizes, batch_counts, runs=batch_runs),
    }
    measured = []
    for section in wanted:
        load = f", load {os.getloadavg()[0]:.1f}"
        typer.echo(f"{time.strftime('%H:%M:%S')} {section}{load} ...", err=True)
        measured.append(measure[section]())
    try:
        from latency_plots import draw

        plots = draw(measured, out, name)
    except ImportError:
        typer.echo('No plots: matplotlib is not installed; pip install -e ".[bench]"', err=True)
        plots = []
    typer.echo(write_report(out, name, "Latency of the online half", measured, plots))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    typer.run(main)
