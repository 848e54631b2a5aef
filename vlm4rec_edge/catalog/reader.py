"""Open a catalog: a folder of photos, a table with one row an item, or what a program holds, as a stream of items."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.checks import id_trouble, long_text
from vlm4rec_edge.catalog.folder import Folder
from vlm4rec_edge.catalog.formats import SUFFIXES
from vlm4rec_edge.catalog.images import Fetched, Images, Trouble
from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.catalog.products import Product, products
from vlm4rec_edge.errors import CatalogError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Failure, Item, UnreadPart, WebPhotos
from vlm4rec_edge.tables.cells import NOT_TEXT, given_text
from vlm4rec_edge.tables.frames import frame_table, mappings_table
from vlm4rec_edge.tables.reading import Table, found_table, open_table
from vlm4rec_edge.tables.roles import Wanted

# An address, which as a path has lost one of its slashes; of more than one letter, unlike a drive of Windows.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


@dataclass(frozen=True)
class Catalog:
    """A catalog that was found to be readable.

    Attributes:
        path: The folder or table; None for what a program gave.
        columns: The attribute columns known before the first row; None where each row speaks for itself (JSONL, items).
        read: Starts a fresh pass, in catalog order, without holding more than one item.
        is_read_once: Whether there can be only one pass, because the items come from a generator; a second one is a
            ``CatalogError``.
        notes: What a user should know of how it is read, as sentences; complete when a pass is.
        named: How its columns were named for this reading; an index remembers it.
    """

    path: Path | None
    columns: tuple[str, ...] | None
    read: Callable[[], Iterator[Item | Failure]]
    is_read_once: bool = False
    notes: Callable[[], tuple[str, ...]] = tuple
    named: CatalogColumns | None = None

    def count(self) -> int | None:
        """Return how many items and failures one pass yields (opens no photo); None if there is only one pass."""
        return None if self.is_read_once else sum(1 for _ in self.read())


def open_catalog(
    catalog: Path | str | Iterable[Any] | Catalog,
    *,
    images: Path | str | None = None,
    columns: CatalogColumns | None = None,
    fetched: Fetched | None = None,
    any_address: bool = False,
) -> Catalog:
    """Open a catalog.

    A folder: every photo below it is an item, its id the relative path without suffix, with ``/`` between folders;
    names that begin with a dot are left out.
    A table (``.csv``, ``.tsv``, ``.txt``, ``.jsonl``/``.ndjson``, ``.parquet``): columns ``id`` and ``image`` (a path relative
    to the table's folder, or to ``images``), ``title`` if there is one, further columns kept as attributes. The columns of
    known exports are found (``catalog.layouts``), and so are separators and encodings. A cell may name several photos
    (``catalog.images``). Rows of one id that follow each other are one item: all their photos are its photos, and each of its
    texts is the first that is not empty.
    A data frame of pandas or polars: the same columns. Numbers become their digits, so the id ``5`` is ``"5"``, and so is
    ``5.0``, into which pandas turns it where another row has none. None and NaN are empty. Its index is not read.
    An iterable of ``Item``: a list, or anything else that can be iterated again; a generator is read once, as the run goes
    on, and never held; only its first item is taken at once, to see whether there is one. Ids and attributes may be numbers,
    as in a data frame. Ids lose spaces at their ends, as in every table.
    A list of mappings (dicts): rows, with the columns of a table by their names.

    Args:
        catalog: The path of a folder or a table, a data frame, or items; an open catalog is returned as it is.
        images: Folder that paths are relative to, and outside of which no photo is read. Default: the table's own folder;
            for what a program gives the current one, without that bound. Of a folder of photos: links may lead into it.
        columns: What the columns of a table are called, where it is nothing known.
        fetched: Given the web address of a photo, where it lies on this machine, or None. Without it, and where it gives
            None, the address is in a ``WebPhotos`` failure.
        any_address: Whether ``fetched`` is asked for addresses of every kind, such as ``s3://bucket/photo.jpg``.

    Raises:
        CatalogError: there is nothing there, it is no catalog, it is empty, or it lacks a column. Single bad rows are yielded
            as ``Failure`` by ``Catalog.read`` instead.
        UsageError: ``catalog`` is of another type.
    """
    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, (str, os.PathLike)):
        wanted_columns = columns or CatalogColumns()
        return _open_path(path_of(catalog, "A catalog"), images, wanted_columns, fetched, any_address)
    root = Path() if images is None else Path(images)
    bound = None if images is None else _resolved(root)
    frame = frame_table(catalog)
    own = Images(root, bound, fetched, any_address)
    wanted = replace((columns or CatalogColumns()).wanted(), options=False)
    if frame is not None and frame.columns is not None:
        return _open_table(found_table("The data frame", frame.columns, frame.rows, wanted), None, own)
    if isinstance(catalog, (bytes, Mapping)) or not isinstance(catalog, Iterable):
        raise UsageError(
            f"A {type(catalog).__name__} is not a catalog; give the path of a folder or a table, a data frame, or items."
        )
    return _open_iterable(catalog, own, wanted)


def _open_path(
    path: Path, images: Path | str | None, columns: CatalogColumns, fetched: Fetched | None, any_address: bool
) -> Catalog:
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a folder above it that may not be entered
        raise CatalogError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if is_folder:
        if columns != CatalogColumns():
            raise UsageError(f"{path} is a folder of photos, which has no columns; leave out the names of columns.")
        folder = Folder(path, None if images is None else _resolved(Path(images)))
        _require_content(
            folder.read(), f"{path} holds no photos ({', '.join(sorted(SUFFIXES))}); there is nothing to index."
        )
        return Catalog(path, (), folder.read, notes=folder.notes)
    if not is_there:
        what = "give a folder of photos or a CSV, JSONL or Parquet file"
        if _ADDRESS.match(path.as_posix()):
            what = "a catalog is not read from an address, so copy its table to this machine; photos that it names may stay"
        raise CatalogError(f"There is no catalog at {path}; {what}.")
    table = open_table(path, columns.wanted(), what="catalog: give a folder of photos, or a file")
    root = Path(images) if images is not None else path.parent
    opened = _open_table(table, path, Images(root, _resolved(root), fetched, any_address))
    return replace(opened, named=None if columns == CatalogColumns() else columns)


def _resolved(root: Path) -> Path:
    if not root.is_dir():
        raise CatalogError(f"The folder of images {root} does not exist; give it with --images.")
    return root.resolve()


def _require_content(entries: Iterator[Item | Failure], message: str) -> None:
    if next(entries, None) is None:
        raise CatalogError(message)


def _open_table(table: Table, path: Path | None, images: Images) -> Catalog:
    further = 0

    def read() -> Iterator[Item | Failure]:
        nonlocal further
        further = 0
        for entry in products(table):
            if isinstance(entry, Failure):
                yield entry
            else:
                further += entry.rows - 1
                yield from _items_of(entry, images)

    def notes() -> tuple[str, ...]:
        if not further:
            return table.notes
        rows = "1 row is a further row" if further == 1 else f"{further:,} rows are further rows"
        told = f"{rows} of the item above: photos are added to it, other cells are read where it has none."
        return *table.notes, told

    _require_content(read(), f"{path or 'The data frame'} has no rows; there is nothing to index.")
    taken = {name for names in table.roles.values() for name in names}
    known = None if table.columns is None else tuple(name for name in table.columns if name not in taken)
    return Catalog(path, known, read, notes=notes)


def _items_of(product: Product, images: Images) -> Iterator[Item | Failure]:
    """Yield the item of a product, and a failure for each photo that it names and may not have."""
    if trouble := id_trouble(product.id):
        yield Failure(product.where, "catalog", trouble)
    elif trouble := long_text(product.where, product.title, product.attributes):
        yield Failure(product.id, "catalog", trouble)
    elif not product.images:
        yield Failure(product.id, "catalog", f"{product.where} names no image.")
    else:
        photos, troubles = images.of_cells(product.images)
        yield from _with_photos(
            Item(product.id, Path(), product.title, product.attributes), product.where, photos, troubles
        )


def _with_photos(
    item: Item, where: str, photos: Sequence[Path], troubles: Sequence[Trouble]
) -> Iterator[Item | Failure]:
    if photos:
        yield replace(item, image=photos[0], more_photos=tuple(photos[1:]))
        for trouble in troubles:  # under the place, because the item is not what failed
            addresses = (trouble.address,) if trouble.address else ()
            yield _failure(where, f"{trouble.reason} The other photos of {item.id!r} are used.", addresses)
    elif troubles:
        further = f" Nor can its {len(troubles) - 1} other photos be used." if len(troubles) > 1 else ""
        every = tuple(trouble.address for trouble in troubles if trouble.address)
        yield _failure(item.id, troubles[0].reason + further, every)


def _failure(where: str, reason: str, addresses: tuple[str, ...]) -> Failure:
    return WebPhotos(where, "catalog", reason, addresses) if addresses else Failure(where, "catalog", reason)


def _open_iterable(items: Iterable[Any], images: Images, wanted: Wanted) -> Catalog:
    """Open items, or rows; of a generator the first is taken, to see whether there is one and what it is."""
    is_read_once = iter(items) is items
    first = list(islice(items, 1))
    if not first:
        raise CatalogError("The catalog has no items; there is nothing to index.")
    if not isinstance(first[0], Mapping):
        return _open_items(chain(first, items) if is_read_once else items, images, is_read_once=is_read_once)
    if is_read_once:
        raise CatalogError("Rows are read more than once; give a list of them, not a generator.")
    table = mappings_table(items)
    return _open_table(found_table("The list of rows", table.columns or (), table.rows, wanted), None, images)


def _open_items(items: Iterable[Any], images: Images, *, is_read_once: bool) -> Catalog:
    passes = count()

    def read() -> Iterator[Item | Failure]:
        if next(passes) and is_read_once:
            raise CatalogError(
                "The items come from a generator, which was read already; give a list, or a new generator."
            )
        for number, item in enumerate(items, start=1):
            where = f"item {number} of the catalog"
            yield from [item] if isinstance(item, Failure) else _given(item, where, images)

    return Catalog(None, None, read, is_read_once)


def _given(item: Any, where: str, images: Images) -> Iterator[Item | Failure]:
    """Yield an item that a program made, whose fields may be numbers, or of any other type."""
    try:
        item_id, title = given_text("id", item.id).strip(), given_text("title", item.title)
        names = [*filter(None, map(os.fspath, [item.image or "", *item.more_photos]))]
        attributes = {str(name): given_text(name, value) for name, value in item.attributes.items()}
    except (*NOT_TEXT, AttributeError) as error:
        yield UnreadPart(where, "catalog", f"{where} cannot be read: {str(error).rstrip('.')}.")
        return
    if not item_id:
        yield UnreadPart(where, "catalog", f"{where} has no id.")
    elif trouble := id_trouble(item_id):
        yield Failure(where, "catalog", trouble)
    elif trouble := long_text(where, title, attributes):
        yield Failure(item_id, "catalog", trouble)
    elif not names:
        yield Failure(item_id, "catalog", f"{where} names no image.")
    else:
        yield from _with_photos(Item(item_id, Path(), title, attributes), where, *images.of(names))
