"""The numbers 0 to n - 1 of the rows of one version of a table, and the ids that LanceDB has for them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class RowNumbers:
    """Numbers rows by their LanceDB row ids, in ascending order, and keeps only where the ids do not go on by one.

    A row id is the number of a fragment and a place in it, so there is a gap at each fragment and at each deleted row, and a
    hundred million rows take no more memory than their gaps.

    Args:
        blocks: All row ids of a version in any order, uint64, a block at a time.
    """

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        runs = [_runs(np.sort(block)) for block in blocks if len(block)]
        starts = np.concatenate([starts for starts, _ in runs]) if runs else np.zeros(0, np.int64)
        lengths = np.concatenate([lengths for _, lengths in runs]) if runs else np.zeros(0, np.int64)
        order = np.argsort(starts)
        starts, lengths = starts[order], lengths[order]
        if len(starts):  # a run that ended with its block goes on in the next
            is_new = np.append(True, starts[1:] != starts[:-1] + lengths[:-1])
            starts, lengths = starts[is_new], np.add.reduceat(lengths, np.flatnonzero(is_new))
        self._starts = starts
        self._ends = np.cumsum(lengths)
        self._firsts = self._ends - lengths

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def numbers(self, row_ids: np.ndarray) -> np.ndarray:
        """Return the numbers of row ids that the version has, int64."""
        own = np.asarray(row_ids, np.int64)
        run = np.searchsorted(self._starts, own, side="right") - 1
        return np.asarray(self._firsts[run] + own - self._starts[run])

    def row_ids(self, numbers: np.ndarray) -> np.ndarray:
        """Return the row ids of numbers from 0 to ``len`` - 1, int64."""
        own = np.asarray(numbers, np.int64)
        run = np.searchsorted(self._ends, own, side="right")
        return np.asarray(self._starts[run] + own - self._firsts[run])


def _runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where ascending ids begin a run of consecutive ones, and how long each is."""
    own = ids.astype(np.int64)
    begins = np.flatnonzero(np.append(True, own[1:] != own[:-1] + 1))
    return own[begins], np.diff(np.append(begins, len(own)))
