"""What every index back end must do, as a check that any package may run over its own.

>>> from vlm4rec_edge.index.contract import check_backend
>>> check_backend(my_package.open_annoy, tmp_path)  # doctest: +SKIP
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index.backend import Found, IndexBackend
from vlm4rec_edge.index.exact import ExactIndex

_ROWS, _DIMENSIONS, _QUERIES = 600, 16, 40
# The share of the exact ten nearest that must be found: what `vlm4rec-edge verify` asks of an index as well.
LEAST_RECALL = 0.95


def check_backend(make: Callable[[], IndexBackend], folder: Path) -> None:
    """Build, search, grow, save and load a back end over small made vectors.

    Args:
        make: Returns an empty back end.
        folder: An empty folder to write into.

    Raises:
        AssertionError: it breaks the contract of ``IndexBackend``; the message says where.
    """
    chance = np.random.default_rng(1)
    vectors, other, queries = (_unit(chance.normal(size=(n, _DIMENSIONS))) for n in (_ROWS, _ROWS, _QUERIES))
    first, path = vectors[: _ROWS // 2], folder / "backend.bin"
    built = make()
    require(re.fullmatch("[a-z0-9_]+", built.name), f"{built.name!r} cannot begin the name of a file")
    built.build(first)
    _check_answers(built, first, queries)
    built.save(path)
    require(path.is_file(), "save writes no file")
    loaded = make()
    loaded.load(path, first)
    require(
        _same(loaded.search(queries, 10), built.search(queries, 10)), "the loaded index gives other answers than before"
    )
    loaded.build(vectors)
    _check_answers(loaded, vectors, queries)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: loaded.search(query[None], 10)[0], np.tile(queries, (4, 1))))
    alone = [loaded.search(query[None], 10)[0] for query in queries]
    require(_same(together, alone * 4), "threads get other answers than one caller")
    if path.stat().st_size:  # an empty file does not identify its vectors
        with suppress(StoreError, OSError, RuntimeError):
            make().load(path, other[: len(first)])
            raise AssertionError("load takes the file of other vectors")


def require(condition: object, breach: str) -> None:
    """Raise ``AssertionError`` with a sentence where a contract is broken, also under ``python -O``."""
    if not condition:
        raise AssertionError(breach)


def _check_answers(backend: IndexBackend, vectors: np.ndarray, queries: np.ndarray) -> None:
    exact = ExactIndex(vectors)
    found_of_exact = 0
    for count in (1, 10, len(vectors), 10 * len(vectors)):
        answers = backend.search(queries, count)
        require(len(answers) == len(queries), "search returns one answer a query")
        for query, (rows, scores) in zip(queries, answers, strict=True):
            require(rows.dtype == np.int64 and scores.dtype == np.float32, "rows are int64, scores float32")
            require(len(rows) == len(set(rows.tolist())) == min(count, len(vectors)), f"{len(rows)} rows for {count}")
            require((np.diff(scores) <= 0).all(), "the best does not come first")
            require(np.allclose(scores, vectors[rows] @ query, atol=1e-5), "a score is not an inner product")
            if count == 10:
                found_of_exact += len(np.intersect1d(rows, exact.top(query, count)[0]))
    recall = found_of_exact / (10 * len(queries))
    require(recall >= LEAST_RECALL, f"only {recall:.1%} of the nearest are found")


def _same(found: list[Found], expected: list[Found]) -> bool:
    return all(np.array_equal(one[0], two[0]) for one, two in zip(found, expected, strict=True))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
