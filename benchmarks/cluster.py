"""Shards: Ray against plain processes, a shard of 10,000 items, a million merged into an index and into a LanceDB table.

Example:
    python benchmarks/cluster.py --rounds 5 --items 1000000
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from captioning.intervals import mean
from running.results_file import Section, write_report
from sharding.program import MODELS, answered, bytes_in, made_catalog, measured, shard, side_by_side, watched_memory
from sharding.stand_in_models import announce

import vlm4rec_edge  # noqa: F401 (turns off the telemetry of what is imported later)

RESULTS = Path(__file__).with_name("results")
_WORKERS = 2
# Photos a second of one core: the embedded model in a whole run of ``index`` (results/latency-process.md, two cores), and a
# model of SmolVLM-256M's size (results/latency-grounding-large.md, two cores, photos of one tile, 32 tokens).
_RATES = {"the embedded model": 72.3 / 2, "a model of SmolVLM-256M's size": 0.55 / 2}
_GPU_RATE = 100  # no GPU was measured: a round figure to scale from
_MANY = 100_000_000


def _paired(work: Path, rounds: int, items: int, seconds: float) -> Section:
    """Run the same shards by Ray and by plain processes, in turns."""
    table, model = made_catalog(work / "shop", items), f"made-captions:{seconds}"
    rows_of_shards = max(1, items // (4 * _WORKERS))
    rows: list[dict[str, str]] = []
    figures: list[dict[str, Any]] = []
    for number in range(rounds):
        took: dict[str, float] = {}
        ways = ["processes", "ray"] if number % 2 else ["ray", "processes"]
        memory: list[float] = []
        for way in ways:
            folder = work / f"paired-{way}"
            shutil.rmtree(folder, ignore_errors=True)
            measured(shard("plan", table, "--out", folder, "--rows", rows_of_shards))
            run = shard("run", folder, "--model", model, *MODELS)
            if way == "ray":
                with watched_memory("ray") as memory:
                    took[way] = measured([*run, "--ray", "--actors", str(_WORKERS)])["seconds"]
            else:
                took[way] = side_by_side(run, _WORKERS)
            if measured(shard("status", folder))["said"]["done"] == 0:
                raise SystemExit(f"Nothing was done by {way}.")
        peak = max(memory, default=0.0)
        figures.append({"round": number, **{f"{way}_seconds": took[way] for way in took}, "ray_peak_mb": peak})
        shown = {way: f"{took[way]:.1f}" for way in ("processes", "ray")}
        rows.append(
            {
                "round": str(number + 1),
                "plain processes, s": shown["processes"],
                "Ray, s": shown["ray"],
                "Ray / plain": f"{took['ray'] / took['processes']:.3f}",
                "memory of all of Ray, MB": f"{peak:.0f}",
            }
        )
    ratio = mean(np.array([one["ray_seconds"] / one["processes_seconds"] for one in figures]))
    told = (
        "" if ratio is None else f"Ray took {ratio.decimal()} times as long as plain processes (mean, 95 % interval)."
    )
    return Section(
        "ray",
        f"Ray against plain processes, {_WORKERS} workers",
        rows,
        [*figures, *([{"ratio": ratio.json()}] if ratio else [])],
        (
            told,
            f"{items:,} made items in shards of at most {rows_of_shards:,}; both ways in every round, the first one in turns. "
            f"Stand-in models: captions from the hashes of photos, each with a delay of {seconds * 1e3:g} ms that stands for "
            "the work of a model, and vectors from the hashes of texts. From the start of the command to its end: Ray's own "
            "start, and the loading of Python on both sides, are counted.",
        ),
    )


def _steps(work: Path, items: int, rows: int, name: str, title: str) -> tuple[Section, dict[str, Any]]:
    """Plan, run, merge and ask, each in a fresh process."""
    catalog = made_catalog(work / "shop", items)
    folder, index, table = (work / f"steps-{items}{ending}" for ending in ("", ".index", ".lancedb"))
    for place in (folder, index, table):
        shutil.rmtree(place, ignore_errors=True)
    run = shard("run", folder, "--model", "made-captions", *MODELS)
    steps = {
        "plan": measured(shard("plan", catalog, "--out", folder, "--rows", rows)),
        "run": measured(run),
        "run again": measured(run),
        "status": measured(shard("status", folder)),
        "merge": measured(shard("merge", folder, "--out", index, "--index-backend", "exact")),
        "recommend, cold": answered(index, items),
        "merge into a table": measured(shard("merge", folder, "--out", f"lancedb://{table}")),
        "recommend from the table, cold": answered(f"lancedb://{table}", items),
    }
    sizes = {
        "rows": bytes_in(folder / "plan"),
        "outputs": bytes_in(folder / "output"),
        "index": bytes_in(index),
        "table": bytes_in(table),
    }
    for step in ("merge", "merge into a table"):
        if (held := steps[step]["said"]["items"]) != items:
            raise SystemExit(f"{step}: {held:,} of {items:,} items were merged.")
    figures = [
        {"step": step, "items": items, "seconds": one["seconds"], "peak_mb": one["peak_mb"]}
        for step, one in steps.items()
    ]
    table_rows = [
        {
            "step": str(one["step"]),
            "s": f"{one['seconds']:.1f}",
            "items/s": f"{items / one['seconds']:,.0f}",
            "peak memory, MB": f"{one['peak_mb']:.0f}",
        }
        for one in figures
    ]
    shards = steps["plan"]["said"]["shards"]
    remarks = (
        f"{items:,} made items in {shards} shards of at most {rows:,} rows; every step in a fresh process. The models are "
        "stand-ins without a delay: what is measured is all that is not a model.",
        f"Bytes an item: {sizes['rows'] / items:.0f} in the plan, {sizes['outputs'] / items:,.0f} in the outputs, "
        f"{sizes['index'] / items:,.0f} in the index (384 dimensions, no graph), {sizes['table'] / items:,.0f} in the table "
        "(with its vector index).",
    )
    seconds = {one["step"]: one["seconds"] for one in figures}
    return Section(name, title, table_rows, [*figures, {"bytes": sizes}], remarks), {**sizes, **seconds, "items": items}


def _arithmetic(measured_at: dict[str, Any]) -> Section:
    """Say what 100 million photos would cost: arithmetic from the figures above, nothing of it measured."""
    per_item = _MANY / measured_at["items"]
    own = sum(float(measured_at[step]) for step in ("plan", "run", "merge")) * per_item / 3600
    rows = [
        {"what": f"captions by {name}, core-hours", "100 million photos": f"{_MANY / rate / 3600:,.0f}"}
        for name, rate in _RATES.items()
    ]
    rows += [
        {
            "what": f"captions by GPUs that do {_GPU_RATE} photos a second (supposed), GPU-hours",
            "100 million photos": f"{_MANY / _GPU_RATE / 3600:,.0f}",
        },
        {"what": "all that is not a model, core-hours", "100 million photos": f"{own:,.0f}"},
        {"what": "of it merging, by one process, hours", "100 million photos": f"{_hours(measured_at, 'merge'):,.1f}"},
        {
            "what": "or merging into a LanceDB table, by one process, hours",
            "100 million photos": f"{_hours(measured_at, 'merge into a table'):,.1f}",
        },
        *(
            {
                "what": f"bytes of {name}, GB",
                "100 million photos": f"{measured_at[key] * per_item / 1e9:,.0f}",
            }
            for name, key in (
                ("the plan", "rows"),
                ("the outputs", "outputs"),
                ("an index", "index"),
                ("a LanceDB table", "table"),
            )
        ),
    ]
    remarks = (
        "**Arithmetic, not a measurement**: the figures of this page and of results/latency-process.md and "
        "results/latency-grounding-large.md, times 100 million. Photos that have to be fetched, and their decoding at larger "
        "sizes, cost more. No GPU was measured: with half of the supposed rate GPU-hours double.",
        "The next bottleneck is the merged index: it is written by one process, and searched on one machine. From some 10 "
        "million items on, write a table of a distributed store from the outputs instead.",
    )
    return Section("arithmetic", "What 100 million photos would cost", rows, [], remarks)


def _hours(figures: dict[str, Any], step: str) -> float:
    return float(figures[step]) / float(figures["items"]) * _MANY / 3600


def main(
    rounds: Annotated[int, typer.Option(help="Rounds of Ray against plain processes; 0 leaves them out.")] = 10,
    paired_items: Annotated[int, typer.Option(help="Items of such a round.")] = 8_000,
    delay: Annotated[float, typer.Option(help="Seconds that a caption takes in such a round.")] = 0.005,
    items: Annotated[int, typer.Option(help="Items of the large catalog; 0 leaves it out.")] = 1_000_000,
    rows: Annotated[int, typer.Option(help="The most rows of its shards.")] = 10_000,
    work: Annotated[Path, typer.Option(help="Folder for made files; kept, and used again.")] = Path("cluster-work"),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    r"""Measure shards: Ray against plain processes, one shard, a large catalog. Linux; needs [parquet,ray,lancedb].

    \b
    Example:
      python benchmarks/cluster.py --rounds 10 --items 1000000
    """
    work.mkdir(parents=True, exist_ok=True)
    places = announce(work.absolute())
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    sections: list[Section] = []
    if rounds:
        sections.append(_paired(work.absolute(), rounds, paired_items, delay))
    one, figures = _steps(work.absolute(), rows, rows, "shard", f"One shard's worth: {rows:,} items")
    sections.append(one)
    if items:
        large, figures = _steps(work.absolute(), items, rows, "large", f"{items:,} items")
        sections.append(large)
    sections.append(_arithmetic(figures))
    typer.echo(write_report(out, "cluster", "A catalog in shards", sections))


if __name__ == "__main__":
    typer.run(main)
