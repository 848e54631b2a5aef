"""The file of a large index: derived from the store, checked before it is loaded, and made again when it is missing.

A file ``BACKEND-STATE-ROWS.bin`` holds the first rows of one vector file, and beside it a JSON file its sha256. Rows are only
ever appended to a vector file, so an older one stays right: the rows after it are scanned, and when they become many the
writer lets it grow. The back end is the one that was chosen (the note ``index_backend``), else the one whose file lies there,
HNSW if there is none. Which rows belong to items, the store decides when it is asked. A back end that is missing or fails is
reported in a warning, and the vectors are scanned: slower, never wrong.
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
from vlm4rec_edge.errors import ModelError, StoreError, Vlm4RecError, Vlm4RecWarning
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
_NOT_WRITTEN = "no search graph is written, until the same command can"
_NAME = re.compile(
    r"(?P<backend>[a-z0-9_]+)-(?P<state>[0-9a-f]{16}-\d+)-(?P<rows>\d+)\.(?P<kind>bin|json|bin(\.\d+)?\.part)"
)


class SavedIndex:
    """What a back end holds, the first ``rows`` of ``vectors``, and an exact scan of those after them; thread-safe."""

    def __init__(self, backend: IndexBackend, vectors: np.ndarray, rows: int) -> None:
        self.name = backend.name
        self._backend = backend
        self._rows = rows
        self._head = vectors[:rows]
        tail = np.asarray(vectors[rows:])  # no memory map: only this part is to be read
        self._tail = ExactIndex(tail) if len(tail) else None

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return the best rows and their scores, best first; equal scores in row order."""
        return self.top_many(query[None], count)[0]

    def top_many(self, queries: np.ndarray, count: int) -> list[Found]:
        """Return what ``top`` returns for each of ``queries`` [n, dimensions]."""
        found = self._search(queries, count)
        if self._tail is None:
            return found
        return [self._merged(*answers, count) for answers in zip(found, self._tail.search(queries, count), strict=True)]

    def _search(self, queries: np.ndarray, count: int) -> list[Found]:
        try:
            return self._backend.search(queries, count)
        except Exception as error:
            scan = ExactIndex(self._head)
            found = scan.search(queries, count)  # first: if the query is wrong, this raises and nothing is reported
            warnings.warn(
                f"The index back end {self.name} cannot search ({type(error).__name__}: {error}), so all vectors are scanned "
                "from now on: the answers are the same, only slower.",
                Vlm4RecWarning,
                stacklevel=4,
            )
            self._backend, self.name = scan, scan.name
            return found

    def _merged(self, found: Found, after: Found, count: int) -> Found:
        rows = np.concatenate([found[0], after[0] + self._rows])
        scores = np.concatenate([found[1], after[1]])
        best = best_of(scores, rows, count)
        return rows[best], scores[best]


def is_large(store: StoreReader, exact_limit: int | None = None) -> bool:
    """Whether an index is too large to be scanned by choice."""
    return len(store.vectors) > (EXACT_LIMIT if exact_limit is None else exact_limit)


def backend_of(store: StoreReader) -> str:
    """Return the name of the back end that was chosen for an index, else of the one whose file it has, else ``hnsw``."""
    if chosen := store.meta.get("index_backend"):
        return chosen
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
        ModelError: what is installed under its name cannot be used.
    """
    name = backend or backend_of(store)
    loaded = open_backend(name)
    rows, path = _newest(store, name)
    return SavedIndex(loaded, store.vectors, rows) if path and _loads(loaded, path, store, rows) else None


def refresh(
    store: StoreReader, backend: str | None = None, *, exact_limit: int | None = None, anew: bool = False
) -> None:
    """Make the index of a large store, or let it grow, unless it is there undamaged; remove those of earlier states.

    Called after the store was written, under its lock. Where the back end is not installed or fails, a warning says so and
    every file stays as it is, until somebody who has a working one writes the store.

    Args:
        store: An open index.
        backend: Name of a back end, which the index then keeps; default: ``backend_of`` the store.
        exact_limit: Up to so many vectors none is made; default: ``EXACT_LIMIT``.
        anew: Whether one that seems whole is made again.

    Raises:
        StoreError: it cannot be written; all items are in the store nevertheless.
    """
    name = backend or backend_of(store)
    whole = _newest(store, name)[1]
    keep = None if anew else whole
    if keep is None and is_large(store, exact_limit):
        try:
            built = open_backend(name)
        except Vlm4RecError as error:
            if whole is None:
                warn_of_scan(store, error, _NOT_WRITTEN)
            return
        keep = store.folder / f"{name}-{_state(store)}-{len(store.vectors)}.bin"
        try:
            # On what an earlier one of the same vector file holds, if that can be loaded.
            if not (anew or any(_loads(built, path, store, rows) for rows, path in _saved(store, name))):
                built = open_backend(name)
            built.build(store.vectors)
            _save(built, keep)
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"The search graph {keep} cannot be written: {error}. All items are stored; make room and run the same "
                "command again."
            ) from error
        except Exception as error:
            warn_of_scan(store, _broken(name, "build or save", error), _NOT_WRITTEN)
            return
    for path in _files(store):
        if keep is None or path not in (keep, keep.with_suffix(".json")):
            with suppress(OSError):
                path.unlink()


def warn_of_scan(store: StoreReader, error: Vlm4RecError, consequence: str) -> None:
    """Warn that a large index is searched by a scan, because its back end is missing or broken."""
    warnings.warn(
        f"{store.folder} holds {len(store.vectors):,} vectors and {consequence}: the answers are the same, only slower. "
        f"{error}",
        Vlm4RecWarning,
        stacklevel=3,
    )


def _broken(backend: str, cannot: str, error: Exception) -> ModelError:
    return ModelError(f"The index back end {backend} cannot {cannot}: {type(error).__name__}: {error}.")


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
    except Exception as error:
        warn_of_scan(store, _broken(backend.name, f"load {path.name}", error), "each search scans all of them")
        return False
    return True


def _save(backend: IndexBackend, path: Path) -> None:
    """Write the stamp and then the file under its name, whole: a file without a fitting stamp does not count."""
    with atomic_path(path) as part:
        backend.save(part)
        stamp = {"sha256": sha256_of(part), **backend.settings}
        path.with_suffix(".json").write_text(json.dumps(stamp), encoding="utf-8")
