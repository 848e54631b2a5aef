"""Index: the nearest vectors of a store, by an exact scan while that is quick and by a back end, HNSW as a rule, beyond."""

from __future__ import annotations

from vlm4rec_edge.index.backend import AsksMany, Found, IndexBackend, VectorIndex, open_backend
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.index.files import EXACT_LIMIT, SavedIndex, backend_of, is_large, load_index, refresh, warn_of_scan
from vlm4rec_edge.index.large import GRAPH_AFTER, LargeIndex, open_index

__all__ = [
    "EXACT_LIMIT",
    "GRAPH_AFTER",
    "AsksMany",
    "ExactIndex",
    "Found",
    "IndexBackend",
    "LargeIndex",
    "SavedIndex",
    "VectorIndex",
    "backend_of",
    "is_large",
    "load_index",
    "open_backend",
    "open_index",
    "refresh",
    "warn_of_scan",
]
