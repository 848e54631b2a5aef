"""Export an index or a bundle into one of the formats of other engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import Place, path_of
from vlm4rec_edge.interchange.engines import write_faiss, write_hnswlib, write_numpy
from vlm4rec_edge.interchange.tables import write_table
from vlm4rec_edge.optional import optional
from vlm4rec_edge.recommend.source import ItemSource, open_source

ExportFormat = Literal["parquet", "jsonl", "csv", "numpy", "hnswlib", "faiss"]


@dataclass(frozen=True)
class _Format:
    """How a format is written: ``write`` gets a file's path, or an empty folder's if ``is_folder``."""

    write: Callable[[ItemSource, Path], None]
    is_folder: bool = False
    needs: Sequence[str] = ()


# As ``optional`` takes them.
_PARQUET = ("pyarrow", "Writing Parquet needs pyarrow", "parquet")
_HNSWLIB = ("hnswlib", "Writing an hnswlib index needs hnswlib", "hnsw", " (or pip install hnswlib)")
_FAISS = ("faiss", "Writing a FAISS index needs faiss", "faiss", " (or pip install faiss-cpu)")
FORMATS: Mapping[str, _Format] = {
    "parquet": _Format(partial(write_table, form="parquet"), needs=_PARQUET),
    "jsonl": _Format(partial(write_table, form="jsonl")),
    "csv": _Format(partial(write_table, form="csv")),
    "numpy": _Format(write_numpy, is_folder=True),
    "hnswlib": _Format(write_hnswlib, is_folder=True, needs=_HNSWLIB),
    "faiss": _Format(write_faiss, is_folder=True, needs=_FAISS),
}


@dataclass(frozen=True)
class ExportReport:
    """What was written: items, length of their vectors, and the files, the Qdrant collection or the address of the table."""

    index: Place
    format: str
    items: int
    dimensions: int
    files: tuple[Path, ...] = ()
    collection: str | None = None
    address: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``export --json`` prints."""
        return {**asdict(self), "index": str(self.index), "files": [str(path) for path in self.files]}


def export_items(index: Place, out: Path | str, form: ExportFormat) -> ExportReport:
    """Write captions, attributes and vectors of every item to ``out``, whole or not at all.

    Args:
        index: An index folder, a bundle, or the address of a table.
        out: A new file, or a new folder for ``numpy``, ``hnswlib`` and ``faiss``.
        form: The format.

    Raises:
        UsageError: ``out`` is there already, or its folder is not, or there is no such format.
        StoreError: the index cannot be read.
        MissingDependencyError: a package of the format is not installed; the message says which.
    """
    out = path_of(out, "The export")
    if form not in FORMATS:
        raise UsageError(f"{form!r} is not a format to export to; choose one of {', '.join(FORMATS)}.")
    _check_new(out)
    chosen = FORMATS[form]
    if chosen.needs:
        optional(*chosen.needs)
    source, _ = open_source(index, exact_limit=0)
    with closing(source):
        if chosen.is_folder:
            with atomic_path(out) as part:
                part.mkdir()
                chosen.write(source, part)
        else:
            chosen.write(source, out)
        files = tuple(sorted(out.iterdir())) if chosen.is_folder else (out,)
        return ExportReport(source.folder, form, source.count(), source.dimensions, files)


def _check_new(out: Path) -> None:
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already; remove it, or give another name.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UsageError(f"The folder {out.parent} does not exist or cannot be written; choose another place.")


def export_to_qdrant(index: Place, url: str, collection: str) -> ExportReport:
    """Write captions, attributes and vectors of every item into a Qdrant collection; see ``interchange.qdrant``.

    Args:
        index: An index folder, a bundle, or the address of a table.
        url: Of the server, or a folder for Qdrant's local mode.
        collection: Made if it is not there.

    Raises:
        StoreError: the index cannot be read.
        UsageError: the server cannot be reached, or the collection holds vectors of another kind.
        MissingDependencyError: qdrant-client is not installed.
    """
    from vlm4rec_edge.interchange.qdrant import open_client, upsert

    with closing(open_client(url)) as client:
        source, _ = open_source(index, exact_limit=0)
        with closing(source):
            items = upsert(source, client, collection)
            return ExportReport(source.folder, "qdrant", items, source.dimensions, collection=collection)


def export_to_lancedb(index: Place, address: str) -> ExportReport:
    """Write every item into a LanceDB table, which ``Recommender.open`` answers from; a table of ours is replaced, at once.

    Args:
        index: An index folder, a bundle, or the address of a table.
        address: ``lancedb://FOLDER``, or ``lancedb+s3://BUCKET/PATH`` and the like for an object store.

    Raises:
        StoreError: the index cannot be read, or the table cannot be written.
        UsageError: it is no address, or a table lies there that was not written by this package.
        MissingDependencyError: lancedb is not installed.
    """
    from vlm4rec_edge.interchange.batches import attribute_names, batches
    from vlm4rec_edge.lance.notes import TableNotes
    from vlm4rec_edge.lance.writer import write_table as write_lance_table

    source, _ = open_source(index, exact_limit=0)
    with closing(source):
        written = write_lance_table(address, batches(source), TableNotes.of(source), attribute_names(source))
        return ExportReport(source.folder, "lancedb", written, source.dimensions, address=address)
