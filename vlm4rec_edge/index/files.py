"""The file of a large index: derived from the store, checked before it is loaded, and made again when it is missing.

A file ``BACKEND-STATE-ROWS.bin`` holds the first rows of one vector file, and beside it a JSON file its sha256. Rows are only
ever appended to a vector file, so an older one stays right: the rows after it are scanned, and when they become many the
writer lets it grow. The back end is the one whose file lies there, HNSW if there is none. Which rows belong to items, the
store decides when it is asked.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import MissingDependencyError, StoreError, Vlm4RecWarning
from vlm4rec_edge.index.backend import Found, IndexBackend, open_backend
from vlm4rec_edge.index.exact import ExactIndex, best_of

if TYPE_CHECKING:
    from vlm4rec_edge.store.reader import StoreReader

# Up to here a scan reads 30 MB (at 384 dimensions), takes a millisecond or two, needs no file and misses nothing.
EXACT_LIMIT = 20_000
DEFAULT_BACKEND = "hnsw"
# Rows after those of the file that are scanned instead: 15 MB (at 384 dimensions), about a millisecond. Adding one photo to
# a million must not rewrite 1.7 GB.
TAIL_ROWS = 10_000
_NAME = re.compile(
    r"(?P<backend>[a-z0-9_]+)-(?P<state>[0-9a-f]{16}-\d+)-(?P<rows>\d+)\.(?P<kind>bin|json|bin(\.\d+)?\.part)"
)


class SavedIndex:
    """What a back end holds, the first ``rows`` of ``vectors``, and an exact scan of those after them; thread-safe."""

    def __init__(self, backend: IndexBackend, vectors: np.ndarray, rows: int) -> None:
        self.name = backend.name
        self._backend = backend
        self._rows = rows
        tail = np.asarray(vectors[rows:])  # no memory map: only this part is to be read
        self._tail = ExactIndex(tail) if len(tail) else None

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return the best rows and their scores, best first; equal scores in row order."""
        return self.top_many(query[None], count)[0]

    def top_many(self, queries: np.ndarray, count: int) -> list[Found]:
        """Return what ``top`` returns for each of ``queries`` [n, dimensions]."""
        found = self._backend.search(queries, count)
        if self._tail is None:
            return found
        return [self._merged(*answers, count) for answers in zip(found, self._tail.search(queries, count), strict=True)]

    def _merged(self, found: Found, after: Found, count: int) -> Found:
        rows = np.concatenate([found[0], after[0] + self._rows])
        scores = np.concatenate([found[1], after[1]])
        best = best_of(scores, rows, count)
        return rows[best], scores[best]


def is_large(store: StoreReader, exact_limit: int | None = None) -> bool:
    """Whether an index is too large to be scanned by choice."""
    return len(store.vectors) > (EXACT_LIMIT if exact_limit is None else exact_limit)


def backend_of(store: StoreReader) -> str:
    """Return the name of the back end whose file an index has, or ``hnsw`` if it has none."""
    saved = [(int(match["rows"]), match["backend"]) for match in _files(store).values() if match["kind"] == "bin"]
    return max(saved, default=(0, DEFAULT_BACKEND))[1]


def load_index(store: StoreReader, backend: str | None = None) -> SavedIndex | None:
    """Return the saved index of a store, or None if it is missing, damaged or too far behind.

    The whole file is compared with its checksum first (about a second a GB).

    Args:
        store: An open index.
        backend: Name of a back end; default: ``backend_of`` the store.

    Raises:
        MissingDependencyError: the back end, or what it runs on, is not installed.
    """
    loaded = open_backend(backend or backend_of(store))
    rows, path = _newest(store, loaded.name)
    return SavedIndex(loaded, store.vectors, rows) if path and _loads(loaded, path, store, rows) else None


def refresh(
    store: StoreReader, backend: str | None = None, *, exact_limit: int | None = None, anew: bool = False
) -> None:
    """Make the index of a large store, or let it grow, unless it is there undamaged; remove those of earlier states.

    For whoever has just written the store, under its lock. Where the back end is not installed, a warning says so and every
    file stays as it is, until somebody who has it writes the store.

    Args:
        store: An open index.
        backend: Name of a back end, which the index then keeps; default: ``backend_of`` the store.
        exact_limit: Up to so many vectors none is made; default: ``EXACT_LIMIT``.
        anew: Whether one that seems whole is made again.

    Raises:
        StoreError: it can not be written; all items are in the store nevertheless.
    """
    name = backend or backend_of(store)
    whole = _newest(store, name)[1]
    keep = None if anew else whole
    if keep is None and is_large(store, exact_limit):
        try:
            built = open_backend(name)
        except MissingDependencyError as error:
            if whole is None:
                warn_of_scan(store, error, "no search graph is written, until the same command can")
            return
        keep = store.folder / f"{name}-{_state(store)}-{len(store.vectors)}.bin"
        try:
            if not anew:  # on what an earlier one of the same vector file holds, if that can be loaded
                any(_loads(built, path, store, rows) for rows, path in _saved(store, name))
            built.build(store.vectors)
            _save(built, keep)
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"The search graph {keep} can not be written: {error}. All items are stored; make room and run the same "
                "command again."
            ) from error
    for path in _files(store):
        if keep is None or path not in (keep, keep.with_suffix(".json")):
            with suppress(OSError):
                path.unlink()


def warn_of_scan(store: StoreReader, error: MissingDependencyError, consequence: str) -> None:
    """Warn that a large index is searched by a scan, because its back end is missing."""
    warnings.warn(
        f"{store.folder} holds {len(store.vectors):,} vectors and {consequence}: the answers are the same, only slower. "
        f"{error}",
        Vlm4RecWarning,
        stacklevel=3,
    )


def _files(store: StoreReader) -> dict[Path, re.Match[str]]:
    return {path: match for path in store.folder.iterdir() if (match := _NAME.fullmatch(path.name))}


def _state(store: StoreReader) -> str:
    """Return the part of the names that says which vector file a file is of."""
    return Path(store.vector_file).stem.removeprefix("vectors-")


def _saved(store: StoreReader, backend: str) -> Iterator[tuple[int, Path]]:
    """Yield rows and path of each undamaged file of a back end that is of this vector file, largest first."""
    wanted = (backend, _state(store), "bin")
    found = [
        (int(match["rows"]), path)
        for path, match in _files(store).items()
        if match.group("backend", "state", "kind") == wanted and 0 < int(match["rows"]) <= len(store.vectors)
    ]
    return ((rows, path) for rows, path in sorted(found, reverse=True) if _is_whole(path))


def _newest(store: StoreReader, backend: str) -> tuple[int, Path | None]:
    """Return rows and path of the undamaged file that serves this state of the store: the largest, not too far behind."""
    saved = ((rows, path) for rows, path in _saved(store, backend) if len(store.vectors) - rows <= TAIL_ROWS)
    return next(saved, (0, None))


def _is_whole(path: Path) -> bool:
    """Whether a file is what was saved."""
    try:
        stamp = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(stamp["sha256"] == sha256_of(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _loads(backend: IndexBackend, path: Path, store: StoreReader, rows: int) -> bool:
    """Load a file, known to be whole, and return whether it is of these vectors."""
    try:
        backend.load(path, store.vectors[:rows])
    except (StoreError, OSError, RuntimeError):
        return False
    return True


def _save(backend: IndexBackend, path: Path) -> None:
    """Write the stamp and then the file under its name, whole: a file without a fitting stamp does not count."""
    with atomic_path(path) as part:
        backend.save(part)
        stamp = {"sha256": sha256_of(part), **backend.settings}
        path.with_suffix(".json").write_text(json.dumps(stamp), encoding="utf-8")
