"""How an index of any size is searched: a scan while that is quick, and its back end beyond."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.index.backend import Found, VectorIndex, open_backend
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.index.files import SavedIndex, backend_of, is_large, load_index, warn_of_scan

if TYPE_CHECKING:
    from vlm4rec_edge.store.reader import StoreReader

# Loading and checking a graph takes as long as about 80 exact scans of 100,000 vectors (benchmarks/results/scale.md), and
# fewer of more; so a process that asks less often than this never pays for it.
GRAPH_AFTER = 50


class LargeIndex:
    """Many vectors: the first ``graph_after`` queries scan the memory map, later ones go through the saved index.

    So a fresh process answers at once, and a long-lived one answers fast. Where there is no saved index, or it is damaged, or
    its back end is not installed or fails, every query is a scan: slower, never wrong.
    """

    def __init__(self, store: StoreReader, graph_after: int, backend: str | None) -> None:
        self._store = store
        self._backend = backend or backend_of(store)
        self._graph_after = 1  # where the back end cannot be used, the first query reports it
        with suppress(Vlm4RecError):
            open_backend(self._backend)
            self._graph_after = graph_after
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._answered = 0
        self._is_loaded = False
        self._index: ExactIndex | SavedIndex = ExactIndex(store.vectors)
        self._switch_if_worth_it(answered=0)

    @property
    def name(self) -> str:
        """``exact`` or the name of the back end: how the next query is answered."""
        return self._index.name

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return the best rows and their scores, best first."""
        answer = self._index.top(query, count)
        if self._is_loaded:
            return answer
        with self._lock:
            self._answered += 1
            answered = self._answered
        self._switch_if_worth_it(answered)
        return answer

    def saved(self) -> SavedIndex | None:
        """Return the saved index, loaded now if it was not yet, for who is about to ask often; None if there is none."""
        with self._loading:
            if not self._is_loaded:  # once: what is damaged now is damaged later
                try:
                    self._index = load_index(self._store, self._backend) or self._index
                except Vlm4RecError as error:
                    warn_of_scan(self._store, error, "each search scans all of them")
                self._is_loaded = True
            return self._index if isinstance(self._index, SavedIndex) else None

    def _switch_if_worth_it(self, answered: int) -> None:
        # Other threads go on scanning while this one loads.
        if answered == self._graph_after:
            self.saved()


def open_index(
    store: StoreReader, *, exact_limit: int | None = None, graph_after: int = GRAPH_AFTER, backend: str | None = None
) -> VectorIndex:
    """Return the index of a store: exact up to ``exact_limit`` vectors, beyond it a back end after ``graph_after`` queries.

    Args:
        store: An open index.
        exact_limit: Default: ``EXACT_LIMIT``.
        graph_after: Queries that are scans, before the saved index is loaded.
        backend: Name of a back end; default: ``backend_of`` the store.
    """
    return LargeIndex(store, graph_after, backend) if is_large(store, exact_limit) else ExactIndex(store.vectors)
