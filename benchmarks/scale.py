"""How large can a catalog be on one machine: adding, opening, asking, with made vectors and the real store.

Example:
    python benchmarks/scale.py --sizes 10000,100000,1000000 --graph-up-to 100000
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from running.fresh_process import memory_of
from running.results_file import write_results

import vlm4rec_edge  # noqa: F401 (turns off the telemetry of what is imported later)

RESULTS = Path(__file__).with_name("results")
# As many kinds of products as a large shop has; titles begin with theirs, so that there are neighbours to find.
_KINDS = 2000
_QUERIES = 50
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def _add(folder: str, count: int) -> dict[str, Any]:
    """Add items to a new index, through the same code as ``vlm4rec-edge index --encoded-text title``."""
    from running.stand_ins import MadeVectors

    from vlm4rec_edge import Item, build_index
    from vlm4rec_edge.catalog.reader import Catalog
    from vlm4rec_edge.index import files

    files.EXACT_LIMIT = count  # the graph is made, and measured, apart
    own: list[float] = []

    def items() -> Iterator[Item]:
        for number in range(count):
            if number % (count // 10) == 0:
                own.append(memory_of()["RssAnon"])
            yield Item(f"item-{number}", Path("none.jpg"), f"kind-{number % _KINDS} product {number}")

    started = time.monotonic()
    with MadeVectors() as encoder:
        report = build_index(
            Catalog(Path("made"), None, items),
            folder,
            encoder=encoder,  # type: ignore[arg-type]
            encoded_text="title",
        )
    assert report.items == count, report
    seconds = time.monotonic() - started
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {"seconds": seconds, "own_first": own[1], "own_last": own[-1], "peak": memory_of()["VmHWM"], "bytes": size}


def _ask_once(folder: str, count: int) -> dict[str, Any]:
    """Open an index and ask one question."""
    started = time.monotonic()
    from vlm4rec_edge import Recommender

    with Recommender.open(folder) as shop:
        opened = time.monotonic()
        hits = shop.recommend(["item-0", f"item-{count // 2}"], k=10)
        assert len(hits) == 10
        answered = time.monotonic()
        return {"open": opened - started, "query": answered - opened, **memory_of()}


def _build_graph(folder: str, _count: int) -> dict[str, Any]:
    """Make the graph of an index."""
    from vlm4rec_edge.index import refresh
    from vlm4rec_edge.store.reader import StoreReader

    started = time.monotonic()
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
    return {"seconds": time.monotonic() - started, "peak": memory_of()["VmHWM"]}


def _ask_often(folder: str, count: int) -> dict[str, Any]:
    """Compare scan and graph: the time to load the graph, the median times of a query, the recall of the graph."""
    import numpy as np

    from vlm4rec_edge.index import ExactIndex, load_index
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(folder) as store:
        exact = ExactIndex(store.vectors)
        exact.top(np.asarray(store.vectors[0]), 10)  # the file is in memory from here on
        started = time.monotonic()
        graph = load_index(store)
        loaded = time.monotonic() - started
        assert graph is not None
        queries = np.asarray(store.vectors[np.random.default_rng(0).choice(count, _QUERIES, replace=False)])
        times: dict[str, list[float]] = {"exact": [], "hnsw": []}
        answers: dict[str, list[set[int]]] = {"exact": [], "hnsw": []}
        for index in (exact, graph):
            for query in queries:
                started = time.monotonic()
                rows, _ = index.top(query, 10)
                times[index.name].append(time.monotonic() - started)
                answers[index.name].append(set(rows.tolist()))
    recall = np.mean([len(a & b) / 10 for a, b in zip(answers["exact"], answers["hnsw"], strict=True)])
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {"load": loaded, **medians, "recall": float(recall), "peak": memory_of()["VmHWM"]}


_STEPS = {step.__name__: step for step in (_add, _ask_once, _build_graph, _ask_often)}


def _in_own_process(step: str, folder: Path, count: int) -> dict[str, Any]:
    """Run one step in a fresh process, so that time and memory are its own; ``wall``: with the start of Python."""
    started = time.monotonic()
    command = [sys.executable, __file__, "step", step, str(folder), str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return {"wall": time.monotonic() - started, **json.loads(done.stdout)}


def _ask_cold(folder: Path, count: int) -> dict[str, Any] | None:
    """Ask with nothing of the index, Python or numpy in the system's page cache; None where we may not drop it."""
    subprocess.run(["sync"], check=True)
    try:
        _DROP_CACHES.write_text("3")
    except OSError:
        return None
    return _in_own_process("_ask_once", folder, count)


def main(
    sizes: Annotated[str, typer.Option(help="Items, comma between.")] = "10000,100000,1000000",
    graph_up_to: Annotated[int, typer.Option(help="Build graphs up to so many items; a million take long.")] = 100_000,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    r"""Measure adding, opening and asking at several sizes of a catalog. Linux.

    \b
    Example:
      python benchmarks/scale.py --sizes 10000,100000,1000000 --graph-up-to 100000
    """
    rows: list[dict[str, Any]] = []
    remarks: list[str] = []
    for count in map(int, sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name) / "made.index"
            typer.echo(f"{time.strftime('%H:%M:%S')} {count} items ...", err=True)
            added = _in_own_process("_add", folder, count)
            _in_own_process("_ask_once", folder, count)
            warm = _in_own_process("_ask_once", folder, count)
            cold = _ask_cold(folder, count)
            rows.append(
                {
                    "items": f"{count:,}",
                    "added in, s": round(added["seconds"], 1),
                    "own memory after 10 % and at the end, MB": f"{added['own_first']:.0f}, {added['own_last']:.0f}",
                    "on disk, MB": round(added["bytes"] / 1e6),
                    "first answer of a fresh process, s": round(warm["wall"], 2),
                    "of it open, query, ms": f"{warm['open'] * 1e3:.0f}, {warm['query'] * 1e3:.0f}",
                    "with empty page cache, s": "not allowed" if cold is None else round(cold["wall"], 2),
                    "own memory of that process, MB": round(warm["RssAnon"]),
                    "with the mapped vectors, MB": round(warm["VmHWM"]),
                }
            )
            if count <= graph_up_to:
                built = _in_own_process("_build_graph", folder, count)
                often = _in_own_process("_ask_often", folder, count)
                worth = often["load"] / often["exact"]
                remarks.append(
                    f"HNSW at {count:,}: built in {built['seconds']:.0f} s (peak {built['peak']:.0f} MB), checked and loaded "
                    f"in {often['load']:.2f} s = {worth:.0f} exact queries; median query {often['hnsw'] * 1e3:.2f} ms "
                    f"against {often['exact'] * 1e3:.2f} ms exact; recall@10 {often['recall']:.3f}."
                )
    remarks += [
        "Items are made: a title each, and a vector generated from the title's hash (MadeVectors, 384 dimensions); the store, "
        "the files and the search are the real ones. Adding includes generating the vectors.",
        "A fresh process counts from the start of Python to its end. It answers by an exact scan of the mapped vectors; the "
        "graph is loaded once a process has asked often enough.",
        "Mapped vectors are pages of the system's file cache, which it takes back when memory is short.",
    ]
    typer.echo(write_results(out, "scale", "A catalog grows", rows, remarks))


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(json.dumps(_STEPS[sys.argv[2]](sys.argv[3], int(sys.argv[4]))))
    else:
        typer.run(main)
