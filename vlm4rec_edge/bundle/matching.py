"""Which stretches of a new file stand somewhere in an old one: the search of rsync, by numpy.

Source: Tridgell, "Efficient Algorithms for Sorting and Synchronization", thesis, 1999, chapter 3. The old file is cut into
blocks, and a hash of the window at every byte of the new file is looked up among theirs; a polynomial hash, so that all
windows come from one running sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Short enough that one changed caption costs little more than itself, and longer than what a match costs to note.
BLOCK = 64
# Windows hashed at once: 8 bytes each, in a handful of arrays.
_SEGMENT = 1 << 20
# Bytes compared at a time when a match is made longer.
_STRIDE = 1 << 16
# Any large odd number has an inverse modulo 2^64, by which the place of a window is taken out of its hash again.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)

# A literal in a list of pieces: not from the old file.
LITERAL = -1


def pieces(old: memoryview, new: memoryview) -> list[tuple[int, int]]:
    """Return how ``new`` is put together: (start in ``old``, length), or (``LITERAL``, length) for bytes it lacks."""
    found: list[tuple[int, int]] = []
    end, shift = 0, 0
    for window, candidate in _candidates(old, new):
        if window < end:  # inside what was matched already
            continue
        # Where little changed, what follows a change follows it in the old file, too.
        block = new[window : window + BLOCK]
        match = next(
            (place for place in (window + shift, candidate) if place >= 0 and old[place : place + BLOCK] == block), None
        )
        if match is None:
            continue
        back = _common_end(old[:match], new[end:window])
        length = back + BLOCK + _common_start(old[match + BLOCK :], new[window + BLOCK :])
        if window - back > end:
            found.append((LITERAL, window - back - end))
        found.append((match - back, length))
        end, shift = window - back + length, match - window
    if end < len(new):
        found.append((LITERAL, len(new) - end))
    return found


def _candidates(old: memoryview, new: memoryview) -> Iterator[tuple[int, int]]:
    """Yield places in ``new`` whose window may be a block of ``old``, and the place of that block; by place."""
    blocks = len(old) // BLOCK
    if blocks == 0 or len(new) < BLOCK:
        return
    powers, inverses = _powers(_BASE, _SEGMENT + BLOCK), _powers(_INVERSE, _SEGMENT)
    hashes = np.empty(blocks, dtype=np.uint64)
    rows = _SEGMENT // BLOCK
    for first in range(0, blocks, rows):
        part = np.frombuffer(old[first * BLOCK : min(first + rows, blocks) * BLOCK], np.uint8).reshape(-1, BLOCK)
        hashes[first : first + len(part)] = (part * powers[:BLOCK]).sum(axis=1, dtype=np.uint64)
    hashes, places = np.unique(hashes, return_index=True)
    for start in range(0, len(new) - BLOCK + 1, _SEGMENT):
        data = np.frombuffer(new[start : start + _SEGMENT + BLOCK - 1], np.uint8)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(data * powers[: len(data)], dtype=np.uint64)])
        windows = (sums[BLOCK:] - sums[:-BLOCK]) * inverses[: len(data) - BLOCK + 1]
        at = np.minimum(np.searchsorted(hashes, windows), len(hashes) - 1)
        hits = np.flatnonzero(hashes[at] == windows)
        yield from zip((hits + start).tolist(), (places[at[hits]] * BLOCK).tolist(), strict=True)


def _powers(base: int, count: int) -> np.ndarray:
    """Return base^0 to base^(count - 1) modulo 2^64."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.asarray(np.multiply.accumulate(factors))


def _common_start(one: memoryview, other: memoryview) -> int:
    """Return how many bytes two stretches have in common at their start."""
    longest = min(len(one), len(other))
    for start in range(0, longest, _STRIDE):
        stop = min(start + _STRIDE, longest)
        differ = np.frombuffer(one[start:stop], np.uint8) != np.frombuffer(other[start:stop], np.uint8)
        if differ.any():
            return start + int(differ.argmax())
    return longest


def _common_end(one: memoryview, other: memoryview) -> int:
    """Return how many bytes two stretches have in common at their end, as far as a block: a longer one was a match itself."""
    longest = min(len(one), len(other), BLOCK)
    same = 0
    while same < longest and one[-1 - same] == other[-1 - same]:
        same += 1
    return same
