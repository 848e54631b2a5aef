"""What searches vectors: the back ends, which an installed package may add to, and how they are found by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError, ModelError
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.index.hnsw import HnswIndex
from vlm4rec_edge.plugins import open_plugin

# Rows, int64, and scores, float32, of the vectors nearest to one query, best first.
Found = tuple[np.ndarray, np.ndarray]


class VectorIndex(Protocol):
    """Nearest rows of a vector matrix by inner product, which is the cosine because rows are unit vectors.

    What recommending asks. Several threads may ask at once.
    """

    @property
    def name(self) -> str:
        """``exact``, ``hnsw`` or the name of another back end: how the next query is answered."""

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return rows, int64, and scores, float32, of the ``count`` best, best first; fewer where there are fewer.

        ``query`` has shape [dimensions], float32.
        """


@runtime_checkable
class AsksMany(Protocol):
    """What an index offers that is asked for many queries at a time, rather than every vector be read for them."""

    def top_many(self, queries: np.ndarray, count: int) -> list[Found]:
        """Return what ``top`` returns for each of ``queries`` [n, dimensions]."""


class IndexBackend(Protocol):
    """A way to search the vectors of a large index. It knows vectors and one file, and neither items nor the store.

    The package names the file, compares it with its sha256 before it is loaded, builds it again when it is missing or damaged,
    and scans the vectors that came after it. A package announces a back end in its ``pyproject.toml``::

        [project.entry-points."vlm4rec_edge.indexes"]
        annoy = "my_package:open_annoy"

    What stands there is called with an empty text and returns an empty back end, which ``build`` or ``load`` fills. It raises
    ``MissingDependencyError`` if what it runs on is not installed. ``vlm4rec_edge.index.contract`` tests all of this.

    Attributes:
        name: As it is announced: letters in lower case, digits and underscores. Files of the index begin with it.
        settings: What it builds with, noted beside the file.
    """

    name: str
    settings: dict[str, int]

    def build(self, vectors: np.ndarray) -> None:
        """Hold all of ``vectors`` [rows, dimensions], float32, unit length, a memory map.

        Where it holds the first of these rows already, it need only add the others.
        """

    def search(self, queries: np.ndarray, count: int) -> list[Found]:
        """Return for each of ``queries`` [n, dimensions], float32, the ``count`` nearest rows and their inner products.

        Best first, equal scores in the order of their rows; all rows where there are fewer. Several threads may search.
        """

    def save(self, path: Path) -> None:
        """Write the file that ``load`` reads.

        Raises:
            OSError, RuntimeError: it cannot be written whole.
        """

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Hold what ``save`` wrote, undamaged, of exactly these ``vectors``.

        Raises:
            StoreError, OSError, RuntimeError: the file is of other vectors, or cannot be read.
        """


_OWN: dict[str, Callable[[], IndexBackend]] = {"exact": ExactIndex, "hnsw": HnswIndex}


def open_backend(name: str) -> IndexBackend:
    """Return an empty back end, one of our own or of an installed package.

    Raises:
        MissingDependencyError: there is none of that name, or what it runs on is not installed.
        ModelError: what is installed under the name is no index back end.
    """
    if name in _OWN:
        return _OWN[name]()
    if not re.fullmatch("[a-z0-9_]+", name):  # the files of an index begin with it
        raise ModelError(f"{name!r} is not a name of an index back end: letters in lower case, digits and underscores.")
    members = ("name", "settings", "build", "search", "save", "load")
    if (plugin := open_plugin("indexes", name, members=members)) is not None:
        return plugin  # type: ignore[no-any-return]  # a package of somebody else's
    raise MissingDependencyError(
        f"No installed package has an index back end {name!r}. Install the one it comes with, or choose one of "
        f"{', '.join(_OWN)}."
    )
