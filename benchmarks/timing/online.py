"""What a user of the online half waits for: a cold process, a question with all options, a bundle, a whole shop."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from running.fresh_process import PROGRAM, run_process
from running.results_file import Section

from timing.made_index import AUDIENCES, made_histories, made_index
from timing.spread import percentile, seconds_each, spread
from vlm4rec_edge import Recommender
from vlm4rec_edge.bundle.output import size_of
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.vectors import VectorType
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.index import GRAPH_AFTER
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection
from vlm4rec_edge.store.reader import StoreReader

# Long enough for several interests; a customer of a year or two.
_HISTORY = 10
_BUNDLES: Sequence[tuple[VectorType, str]] = (("float16", "folder"), ("float16", "zip"), ("int8", "zip"))
_MEGABYTE = 1e6


def cold(work: Path, items: int, *, processes: int) -> Section:
    """Measure fresh processes: Python alone, the program's help, and ``recommend`` from an index and from a bundle."""
    folder, _ = made_index(work, items, graph=False)
    bundle = work / f"made-{items}.zip"
    make_bundle(folder, bundle)
    history = ",".join(made_histories(1, items, _HISTORY)[0].items)
    commands: dict[str, list[str]] = {
        "Python alone": [sys.executable, "-c", "pass"],
        "Python and numpy": [sys.executable, "-c", "import numpy"],
        "vlm4rec-edge --help": [str(PROGRAM), "--help"],
        "recommend, index": [str(PROGRAM), "recommend", str(folder), "--history", history, "--json"],
        "recommend, bundle": [str(PROGRAM), "recommend", str(bundle), "--history", history, "--json"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, float] = {}
    for _ in range(processes):
        for name, command in commands.items():
            seconds, peak, _ = run_process(command)
            times[name].append(seconds)
            memory[name] = max(peak, memory.get(name, 0.0))
    rows = [
        {"process": name, "from start to end, s": spread(own).text(1, 3), "peak memory, MB": f"{memory[name]:.0f}"}
        for name, own in times.items()
    ]
    figures = [{"process": name, "seconds": own, "peak_mb": memory[name]} for name, own in times.items()]
    remarks = [
        f"{items:,} items; {processes} fresh processes each, taking turns; medians, lowest and highest in brackets. Files are "
        "in the system's page cache."
    ]
    return Section("cold", "Cold start", rows, figures, remarks)


def options(work: Path, items: int, *, queries: int, runs: int) -> Section:
    """Measure ``recommend()`` inside a process with each of its options."""
    folder, _ = made_index(work, items, graph=True)
    histories = [history.items for history in made_histories(queries, items, _HISTORY)]
    narrow = f"audience = '{AUDIENCES[0]}' and price < 9"
    asked: dict[str, dict[str, Any]] = {
        "plain": {},
        "filter that admits 1 in 2": {"selection": Selection(where="price < 55")},
        "filter that admits 1 in 100": {"selection": Selection(where=narrow)},
        "one per product": {"selection": Selection(one_per="id:8")},
        "diversity 0.3": {"selection": Selection(diversity=0.3)},
        "explanation": {"explain": True},
        "3 interests": {"settings": ProfileSettings(interests=3)},
        "half-life": {"settings": ProfileSettings(half_life=5)},
        "filter (1 in 2), diversity, explanation, 3 interests together": _together("price < 55"),
        "filter (1 in 100), diversity, explanation, 3 interests together": _together(narrow),
        "all of the above": {
            "selection": Selection(where="price < 55", one_per="id:8", diversity=0.3),
            "settings": ProfileSettings(interests=3, half_life=5),
            "explain": True,
        },
    }
    p50: dict[str, list[float]] = {name: [] for name in asked}
    p99: dict[str, list[float]] = {name: [] for name in asked}
    first: dict[str, float] = {}
    with Recommender.open(folder) as shop:
        for _ in range(GRAPH_AFTER):  # a large index is searched by its graph from here on
            shop.recommend(histories[0])
        method = shop.method
        for name, keywords in asked.items():
            first[name] = _seconds(lambda keywords=keywords: shop.recommend(histories[0], **keywords))
        for _ in range(runs):
            for name, keywords in asked.items():
                times = seconds_each(lambda items, keywords=keywords: shop.recommend(items, **keywords), histories)
                p50[name].append(percentile(times, 50))
                p99[name].append(percentile(times, 99))
    rows = [
        {
            "recommend() with": name,
            "p50 ms": spread(p50[name]).text(1e3),
            "p99 ms": spread(p99[name]).text(1e3),
            "the first time, ms": f"{first[name] * 1e3:.0f}",
        }
        for name in asked
    ]
    figures = [{"option": name, "p50_s": p50[name], "p99_s": p99[name], "first_s": first[name]} for name in asked]
    remarks = [
        f"{items:,} items, searched by {method}; {queries} histories of {_HISTORY} items a run, 10 recommendations each; "
        f"medians of {runs} runs.",
        "Price and audience go by kind of product here, which is hard on a graph: a filter leaves all neighbours of a history "
        "or none of them.",
        "The first question that needs the items' columns, or the words of their captions, reads them all once; it is shown "
        "apart. Each row has it only as far as the rows above did not pay for it.",
    ]
    return Section("options", "Options of recommend", rows, figures, remarks)


def _together(where: str) -> dict[str, Any]:
    return {
        "selection": Selection(where=where, diversity=0.3),
        "settings": ProfileSettings(interests=3),
        "explain": True,
    }


def bundles(work: Path, items: int, *, runs: int) -> Section:
    """Measure opening, first answer and size of an index and of its bundles."""
    folder, _ = made_index(work, items, graph=False)
    history = made_histories(1, items, _HISTORY)[0].items
    places: dict[str, tuple[Path, Callable[[Path], Any]]] = {"index": (folder, StoreReader)}
    for kind, form in _BUNDLES:
        place = work / f"made-{items}-{kind}{'.zip' if form == 'zip' else '.bundle'}"
        make_bundle(folder, place, vectors=kind)
        places[f"bundle, {kind}, {form}"] = (place, BundleReader)
    rows, figures = [], []
    for name, (place, reader) in places.items():
        opened, answered, warm = [], [], []
        for _ in range(runs):
            opened.append(_seconds(lambda reader=reader, place=place: reader(place).close()))
            started = time.perf_counter()
            with Recommender.open(place) as shop:
                shop.recommend(history)
                answered.append(time.perf_counter() - started)
                warm.append(_seconds(lambda shop=shop: shop.recommend(history)))
        size = size_of(place)
        rows.append(
            {
                "source": name,
                "on disk, MB": f"{size / _MEGABYTE:.1f}",
                "open, ms": spread(opened).text(1e3, 1),
                "open and first answer, ms": spread(answered).text(1e3, 1),
                "second answer, ms": spread(warm).text(1e3, 2),
            }
        )
        figures.append(
            {"source": name, "bytes": size, "open_s": opened, "first_answer_s": answered, "second_answer_s": warm}
        )
    remarks = [
        f"{items:,} items without pictures; medians of {runs} times in one process that has all modules loaded. Opening a "
        "bundle checks everything that recommending reads."
    ]
    return Section("bundles", "Bundles", rows, figures, remarks)


def batches(work: Path, items: Sequence[int], users: Sequence[int], *, runs: int) -> Section:
    """Measure ``recommend --histories`` in a process of its own."""
    rows, figures = [], []
    for count, who in zip(items, users, strict=True):
        folder, _ = made_index(work, count, graph=True)
        table, out = work / f"histories-{count}-{who}.csv", work / "recommendations.csv"
        with table.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["user_id", "history"])
            writer.writerows([user.user, ",".join(user.items)] for user in made_histories(who, count, _HISTORY))
        command = [str(PROGRAM), "recommend", str(folder), "--histories", str(table), "--out", str(out), "--json"]
        measured = [run_process(command) for _ in range(runs)]
        seconds, peaks = [own.seconds for own in measured], [own.peak_mb for own in measured]
        rows.append(
            {
                "users": f"{who:,}",
                "items": f"{count:,}",
                "from start to end, s": spread(seconds).text(1, 1),
                "users/s": spread([who / own for own in seconds]).text(1, 0),
                "peak memory, MB": f"{max(peaks):.0f}",
            }
        )
        figures.append({"users": who, "items": count, "seconds": seconds, "peak_mb": peaks})
    remarks = [f"CSV in and out, histories of {_HISTORY} items, 10 recommendations each; medians of {runs} processes."]
    return Section("batch", "A whole shop: recommend --histories", rows, figures, remarks)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
