"""Does the search graph of a store find what an exact scan finds?"""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.index import ExactIndex, backend_of, is_large, load_index, warn_of_scan
from vlm4rec_edge.store.check import Finding
from vlm4rec_edge.store.reader import StoreReader

# Queries of the check, and the least share of the exact ten nearest that the graph must find.
_SAMPLE_QUERIES = 50
_NEIGHBOURS = 10
LOWEST_RECALL = 0.95


def check_graph(store: StoreReader) -> tuple[float | None, list[Finding]]:
    """Return the recall at 10 of the graph of a store, None where there is none, and what is wrong with it."""
    if not is_large(store):
        return None, []
    try:
        approximate, exact = load_index(store), ExactIndex(store.vectors)
    except Vlm4RecError as error:
        warn_of_scan(store, error, "each search scans all of them")
        return None, []
    name = backend_of(store)
    shown = "HNSW" if name == "hnsw" else name
    if approximate is None:
        return None, [Finding(f"{name}-*.bin", f"The {shown} file is missing, damaged or stale; `repair` rebuilds it.")]
    sample = np.random.default_rng(0).choice(len(store.vectors), _SAMPLE_QUERIES, replace=False)
    found = 0
    for row in sample:
        query = np.asarray(store.vectors[row])
        expected = set(exact.top(query, _NEIGHBOURS)[0].tolist())
        found += len(expected & set(approximate.top(query, _NEIGHBOURS)[0].tolist()))
    recall = found / (_SAMPLE_QUERIES * _NEIGHBOURS)
    if recall < LOWEST_RECALL:
        return recall, [
            Finding(f"{name}-*.bin", f"{shown} finds {recall:.1%} of the nearest, less than {LOWEST_RECALL:.0%}.")
        ]
    return recall, []
