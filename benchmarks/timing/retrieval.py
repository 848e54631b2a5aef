"""Retrieval side by side: this package, and bare hnswlib, usearch and faiss, on the same vectors and queries in one run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import Section

from timing.made_index import made_histories, made_index
from timing.spread import percentile, seconds_each, spread
from vlm4rec_edge import Recommender
from vlm4rec_edge.index import GRAPH_AFTER, ExactIndex, load_index
from vlm4rec_edge.index.hnsw import EF_CONSTRUCTION, EF_SEARCH, LINKS
from vlm4rec_edge.recommend.profile import mean_profile
from vlm4rec_edge.store.reader import StoreReader

K = 10
_HISTORY = 3


@dataclass(frozen=True)
class Engine:
    """A way to find the nearest vectors.

    Attributes:
        name: Of the engine and the kind of its index.
        one: From a query [dimensions] to the rows of the 10 nearest, best first, on one thread; None where it only
            answers from histories.
        many: From queries [n, dimensions] to rows [n, 10], on all cores, or None.
        ask: From the number of a query to an answer, what is timed in place of ``one``; None: ``one``.
        built: Seconds to build its index, if it has one and it was built in this run: what an earlier run kept may have
            been built on a busy machine.
    """

    name: str
    one: Callable[[np.ndarray], Any] | None
    many: Callable[[np.ndarray], Any] | None
    ask: Callable[[int], Any] | None = None
    built: float | None = None


def retrieval(work: Path, sizes: Sequence[int], *, queries: int, batch: int, runs: int) -> Section:
    """Measure one query and batches at several sizes."""
    rows: list[dict[str, str]] = []
    figures: list[dict[str, Any]] = []
    missing: set[str] = set()
    for size in sizes:
        folder, seconds = made_index(work, size, graph=True)
        histories = [history.items for history in made_histories(queries, size, _HISTORY)]
        with StoreReader(folder) as store, Recommender.open(folder) as shop:
            asked = np.array([mean_profile(store.vectors_at(list(_rows(store, items)))) for items in histories])
            exact = ExactIndex(store.vectors)
            truth = [set(exact.top(query, K)[0].tolist()) for query in asked]
            engines = list(_engines(work, size, store, shop, histories, seconds, missing))
            for own in _measured(engines, asked, truth, batch, runs):
                figures.append({"vectors": size, **own})
    for figure in figures:
        rows.append(
            {
                "vectors": f"{figure['vectors']:,}",
                "engine": figure["engine"],
                "one query, p50 ms": spread(figure["p50_s"]).text(1e3, 3),
                "p99 ms": spread(figure["p99_s"]).text(1e3, 3),
                f"batches of {batch}, queries/s": spread(figure["batch_queries_per_s"]).text(1, 0)
                if figure["batch_queries_per_s"]
                else "",
                "recall@10": "" if figure["recall"] is None else f"{figure['recall']:.4f}",
                "index built in, s": "" if figure["built_s"] is None else f"{figure['built_s']:.0f}",
            }
        )
    remarks = [
        f"{queries} queries a run, each the mean of {_HISTORY} items; medians of {runs} runs, lowest and highest in brackets.",
        "One query runs on one thread (the scan on as many as BLAS takes), a batch on all cores.",
        f"All graphs have {LINKS} links a node, ef {EF_CONSTRUCTION} to build and {EF_SEARCH} to search; ours and bare "
        "hnswlib search the same file.",
        "`recommend()` is the whole answer of this package: ids looked up, profile, search, history left out, captions read.",
        "Seconds to build stand where an index was built in this run, and not kept from an earlier one.",
        "Vectors are made (384 values, 2,000 kinds of products), drawn from the captions' hashes.",
        *(_against_hnswlib(figures, size) for size in sizes),
    ]
    remarks += [f"{name} is not installed and was left out: pip install {name}" for name in sorted(missing)]
    return Section("retrieval", "Retrieval", rows, figures, remarks)


def _against_hnswlib(figures: Sequence[dict[str, Any]], size: int) -> str:
    p50 = {own["engine"]: spread(own["p50_s"]).median for own in figures if own["vectors"] == size}
    (whole,) = (name for name in p50 if "recommend()" in name)
    return f"At {size:,} vectors the whole `recommend()` takes {p50[whole] / p50['hnswlib']:.2f} times hnswlib's bare query."


def _rows(store: StoreReader, items: Sequence[str]) -> Iterator[int]:
    found = store.rows_of(items)
    return (found[item] for item in items)


def _measured(
    engines: Sequence[Engine], queries: np.ndarray, truth: Sequence[set[int]], batch: int, runs: int
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each engine; runs take turns, so that what disturbs the machine disturbs all of them."""
    p50: dict[str, list[float]] = {engine.name: [] for engine in engines}
    p99: dict[str, list[float]] = {engine.name: [] for engine in engines}
    rate: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(runs):
        for engine in engines:
            if engine.ask is not None:
                times = seconds_each(engine.ask, range(len(queries)))
            else:
                assert engine.one is not None
                times = seconds_each(engine.one, queries)
            p50[engine.name].append(percentile(times, 50))
            p99[engine.name].append(percentile(times, 99))
            if engine.many is not None:
                blocks = [queries[start : start + batch] for start in range(0, len(queries), batch)]
                rate[engine.name].append(len(queries) / sum(seconds_each(engine.many, blocks)))
    for engine in engines:
        recall = None
        if engine.one is not None:
            found = [{int(row) for row in engine.one(query)} for query in queries]
            recall = float(np.mean([len(a & b) / len(b) for a, b in zip(found, truth, strict=True)]))
        yield {
            "engine": engine.name,
            "p50_s": p50[engine.name],
            "p99_s": p99[engine.name],
            "batch_queries_per_s": rate[engine.name],
            "recall": recall,
            "built_s": engine.built,
        }


def _engines(
    work: Path,
    size: int,
    store: StoreReader,
    shop: Recommender,
    histories: Sequence[Sequence[str]],
    seconds: dict[str, float],
    missing: set[str],
) -> Iterator[Engine]:
    vectors = store.vectors
    exact, graph = ExactIndex(vectors), load_index(store)
    assert graph is not None
    yield Engine("vlm4rec-edge, scan", lambda query: exact.top(query, K)[0], None)
    yield Engine(
        "vlm4rec-edge, graph",
        lambda query: graph.top(query, K)[0],
        lambda block: graph.top_many(block, K),
        built=seconds.get("graph"),
    )
    yield _bare_hnswlib(store, size, seconds.get("graph"))
    for _ in range(GRAPH_AFTER):  # a large index is searched by its graph from here on
        shop.recommend(histories[0], K)
    yield Engine(
        f"vlm4rec-edge, recommend(), {shop.method}", None, None, lambda number: shop.recommend(histories[number], K)
    )
    for name, others in (("usearch", _usearch), ("faiss-cpu", _faiss)):
        try:
            yield from others(work, size, vectors)
        except ImportError:
            missing.add(name)


def _bare_hnswlib(store: StoreReader, size: int, built: float | None) -> Engine:
    import hnswlib

    (path,) = store.folder.glob("hnsw-*.bin")
    graph = hnswlib.Index(space="ip", dim=store.dimensions)
    graph.load_index(str(path), max_elements=size)
    graph.set_ef(EF_SEARCH)
    return Engine(
        "hnswlib",
        lambda query: graph.knn_query(query, k=K, num_threads=1)[0][0],
        lambda block: graph.knn_query(block, k=K)[0],
        built=built,
    )


def _usearch(work: Path, size: int, vectors: np.ndarray) -> Iterator[Engine]:
    from usearch.index import Index

    index = Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=LINKS,
        expansion_add=EF_CONSTRUCTION,
        expansion_search=EF_SEARCH,
    )
    built = _built(
        work / f"usearch-{size}.bin",
        lambda: index.add(np.arange(size), np.asarray(vectors)),
        lambda path: index.save(str(path)),
        lambda path: index.load(str(path)),
    )
    yield Engine(
        "usearch",
        lambda query: index.search(query, K, threads=1).keys,
        lambda block: index.search(block, K).keys,
        built=built,
    )


def _faiss(work: Path, size: int, vectors: np.ndarray) -> Iterator[Engine]:
    import faiss

    cores = faiss.omp_get_max_threads()

    def engine(name: str, index: Any, built: float | None) -> Engine:
        def search(queries: np.ndarray, threads: int) -> np.ndarray:
            faiss.omp_set_num_threads(threads)
            found: np.ndarray = index.search(queries, K)[1]
            return found

        return Engine(name, lambda query: search(query[None], 1)[0], lambda block: search(block, cores), built=built)

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    yield engine("faiss, flat", flat, None)
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    held = [index]

    def load(path: Path) -> None:
        held[0] = faiss.read_index(str(path))

    built = _built(
        work / f"faiss-{size}.bin",
        lambda: index.add(np.ascontiguousarray(vectors)),
        lambda path: faiss.write_index(index, str(path)),
        load,
    )
    held[0].hnsw.efSearch = EF_SEARCH
    yield engine("faiss, HNSW", held[0], built)


def _built(
    path: Path, build: Callable[[], object], save: Callable[[Path], object], load: Callable[[Path], object]
) -> float | None:
    """Build an index and return the seconds it took, or load what an earlier run left in the work folder."""
    stamp = path.with_suffix(".json")  # written last: an index that was cut off has none
    if stamp.exists():
        load(path)
        return None
    started = time.monotonic()
    build()
    seconds = time.monotonic() - started
    save(path)
    stamp.write_text(json.dumps(seconds))
    return seconds
