"""How long things take: captions, vectors, the whole of index, and what users of the online half wait for.

Example:
    python benchmarks/latency.py --sections grounding --photos my-photos
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from running.results_file import Section, write_report

import vlm4rec_edge  # noqa: F401 (turns off the telemetry of what is imported later)

if TYPE_CHECKING:
    from timing.grounding import Model

RESULTS = Path(__file__).with_name("results")
# A group has a file of results of its own, latency-GROUP.
GROUPS: Mapping[str, Sequence[str]] = {
    "online": ("retrieval", "cold", "options", "bundles", "batch"),
    "grounding": ("throughput", "image-size", "steps"),
    "encoding": ("encoding", "operators"),
    "process": ("process",),
    "roofline": ("roofline",),
}
_TITLES = {
    "online": "Latency of the online half",
    "grounding": "Photos to captions",
    "encoding": "Texts to vectors",
    "process": "The whole process",
    "roofline": "The roofline",
}


def main(
    sections: Annotated[
        str,
        typer.Option(
            help="Which tables, comma between them; or a group: online, grounding, encoding, process, roofline."
        ),
    ] = "online",
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
    processes: Annotated[int, typer.Option(min=1, help="Fresh processes of a cold start.")] = 20,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos; default: drawings.", exists=True, file_okay=False)
    ] = None,
    photo_count: Annotated[int, typer.Option(min=0, help="Photos for the embedded model; 0 leaves it out.")] = 200,
    large_photos: Annotated[int, typer.Option(min=0, help="Photos for the larger model; 0 leaves it out.")] = 8,
    large_model: Annotated[
        Path | None, typer.Option(help="The larger model; default: SmolVLM-256M's shape, made in --work.", exists=True)
    ] = None,
    batches: Annotated[str, typer.Option(help="Photos at work together, ours.")] = "1,2,4,8,16,32",
    large_batches: Annotated[str, typer.Option(help="The same, with the larger model.")] = "1,2,4,8",
    server_batches: Annotated[str, typer.Option(help="Requests at work together in xllamacpp.")] = "1,4,16",
    large_server_batches: Annotated[str, typer.Option(help="The same, with the larger model.")] = "1,8",
    image_sizes: Annotated[str, typer.Option(help="Sizes of the image-size table, in pixels.")] = "64,96,128,256,2048",
    singles: Annotated[int, typer.Option(min=1, help="Photos or texts asked for one by one.")] = 100,
    texts: Annotated[
        Path | None, typer.Option(help="Texts, one a line; default: captions of photos.", exists=True, dir_okay=False)
    ] = None,
    text_count: Annotated[int, typer.Option(min=1, help="Captions made where there is no --texts.")] = 2000,
    index_sizes: Annotated[str, typer.Option(help="Photos of the process table.")] = "1000,10000",
    index_pictures: Annotated[int, typer.Option(min=1, help="Different pictures among them.")] = 1000,
    index_once_from: Annotated[
        int, typer.Option(help="From so many photos on, index once and not --runs times.")
    ] = 5000,
    work: Annotated[
        Path, typer.Option(help="Folder for made indexes, models and other engines' graphs; kept, and used again.")
    ] = Path("latency-work"),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
    name: Annotated[str, typer.Option(help="Name of the result files of a single group; default: latency-GROUP.")] = "",
) -> None:
    r"""Measure on a quiet machine. Linux and macOS.

    \b
    Examples:
      python benchmarks/latency.py
      python benchmarks/latency.py --sections cold,bundles
      python benchmarks/latency.py --sections retrieval --sizes 10000,100000
      python benchmarks/latency.py --sections grounding,encoding,roofline --runs 3
    """
    from timing import encoding, grounding, online, operators, process, retrieval, roofline, steps
    from timing.photos import photos_in

    wanted = _tables(sections)
    groups = [group for group, tables in GROUPS.items() if any(table in wanted for table in tables)]
    if name and len(groups) > 1:
        raise typer.BadParameter(f"--name names the results of one group; these are of {', '.join(groups)}.")
    batch_sizes, batch_counts = (_numbers(text) for text in (batch_items, batch_users))
    if len(batch_sizes) != len(batch_counts):
        raise typer.BadParameter("--batch-items and --batch-users have one number for each other.")
    work.mkdir(parents=True, exist_ok=True)

    def models(large: int = large_photos) -> list[Model]:
        return list(grounding.models(work, photos, photo_count, large_model, large))

    def lines() -> Path:
        return texts or encoding.texts_file(work, photos_in(work, photos, text_count))

    engines = {
        grounding.EMBEDDED: (_numbers(batches), _numbers(server_batches)),
        grounding.LARGE: (_numbers(large_batches), _numbers(large_server_batches)),
    }
    measure: dict[str, Callable[[], Section]] = {
        "retrieval": lambda: retrieval.retrieval(work, _numbers(sizes), queries=queries, batch=batch, runs=runs),
        "cold": lambda: online.cold(work, items, processes=processes),
        "options": lambda: online.options(work, option_items, queries=queries, runs=runs),
        "bundles": lambda: online.bundles(work, items, runs=max(runs, processes)),
        "batch": lambda: online.batches(work, batch_sizes, batch_counts, runs=batch_runs),
        "throughput": lambda: grounding.throughput(models(), engines, singles=singles, runs=runs),
        "image-size": lambda: grounding.image_sizes(models(0)[0], _numbers(image_sizes), runs=runs),
        "steps": lambda: steps.steps(work, models(), runs=runs),
        "encoding": lambda: encoding.encoding(work, lines(), singles=singles, runs=runs),
        "operators": lambda: operators.operators(encoding.own_graphs(work), lines(), runs=runs),
        "process": lambda: process.process(
            work,
            photos_in(work, photos, index_pictures),
            _numbers(index_sizes),
            runs=runs,
            once_from=index_once_from,
            processes=processes,
        ),
        "roofline": lambda: roofline.roofline(work, models(), lines(), runs=runs),
    }
    for group in groups:
        measured = []
        for section in (table for table in wanted if table in GROUPS[group]):
            load = f", load {os.getloadavg()[0]:.1f}"
            typer.echo(f"{time.strftime('%H:%M:%S')} {section}{load} ...", err=True)
            measured.append(measure[section]())
        file = name or f"latency-{group}"
        try:
            from timing.plots import draw

            plots = draw(measured, out, file)
        except ImportError:
            typer.echo('No plots: matplotlib is not installed; pip install -e ".[bench]"', err=True)
            plots = []
        typer.echo(write_report(out, file, _TITLES[group], measured, plots))


def _tables(sections: str) -> list[str]:
    """Return the tables that were asked for, by their names or by those of their groups.

    Raises:
        typer.BadParameter: there is no such table.
    """
    asked = [part.strip() for part in sections.split(",") if part.strip()]
    known = {table for tables in GROUPS.values() for table in tables}
    unknown = [part for part in asked if part not in known and part not in GROUPS]
    if unknown or not asked:
        names = ", ".join(table for tables in GROUPS.values() for table in tables)
        raise typer.BadParameter(f"There is no table {', '.join(unknown)!r}; the tables are {names}.")
    return list(dict.fromkeys(table for part in asked for table in GROUPS.get(part, (part,))))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    typer.run(main)
