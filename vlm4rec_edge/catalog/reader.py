"""Open a catalog: a folder of photos, a table with one row an item, or what a program holds, as a stream of items."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.photo import SUFFIXES
from vlm4rec_edge.errors import CatalogError, UsageError
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.tables.cells import NOT_TEXT, given_text
from vlm4rec_edge.tables.frames import frame_table
from vlm4rec_edge.tables.reading import Table, check_columns, open_table

# An id is a key in files, tables and URLs of the user's shop; more is a broken column, not an id.
MAX_ID_CHARACTERS = 512
# Longer paths open no file (PATH_MAX of Linux), and a million folders in one would take minutes to look up.
MAX_PATH_CHARACTERS = 4096
# A cell of more than this is a description pasted as HTML, or an attack; it would be carried through every stage.
MAX_CELL_CHARACTERS = 100_000

_OWN_COLUMNS = ("id", "image", "title")
_LINK = "is a link, which is not followed; put the photos there instead"


@dataclass(frozen=True)
class Catalog:
    """A catalog that was found to be readable.

    Attributes:
        path: The folder or table; None for what a program gave.
        columns: The attribute columns known before the first row; None where each row speaks for itself (JSONL, items).
        read: Starts a fresh pass, in catalog order, without holding more than one item.
        is_read_once: Whether there can be only one pass, because the items come from a generator; a second one is a
            ``CatalogError``.
    """

    path: Path | None
    columns: tuple[str, ...] | None
    read: Callable[[], Iterator[Item | Failure]]
    is_read_once: bool = False

    def count(self) -> int | None:
        """Return how many items and failures one pass yields (opens no photo); None if there is only one pass."""
        return None if self.is_read_once else sum(1 for _ in self.read())


def open_catalog(catalog: Path | str | Iterable[Any] | Catalog, *, images: Path | str | None = None) -> Catalog:
    """Open a catalog.

    A folder: every photo below it is an item, its id the relative path without suffix, with ``/`` between folders;
    names that begin with a dot are left out.
    A table (``.csv``, ``.jsonl``/``.ndjson``, ``.parquet``): columns ``id`` and ``image`` (a path relative to the table's
    folder, or to ``images``), ``title`` if there is one, further columns kept as attributes.
    A data frame of pandas or polars: the same columns. Numbers become their digits, so the id ``5`` is ``"5"``, and so is
    ``5.0``, into which pandas turns it where another row has none. None and NaN are empty. Its index is not read.
    An iterable of ``Item``: a list, or anything else that can be iterated again; a generator is read once, as the run goes
    on, and never held. Ids and attributes may be numbers, as in a data frame.

    Args:
        catalog: The path of a folder or a table, a data frame, or items; an open catalog is returned as it is.
        images: Folder that paths are relative to, and outside of which no photo is read. Default: the table's own folder;
            for what a program gives the current one, without that bound.

    Raises:
        CatalogError: there is nothing there, it is no catalog, it is empty, or it lacks a column. Single bad rows are yielded
            as ``Failure`` by ``Catalog.read`` instead.
        UsageError: ``catalog`` is of another type.
    """
    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, (str, os.PathLike)):
        return _open_path(Path(catalog), images)
    root = Path() if images is None else Path(images)
    bound = None if images is None else _resolved(root)
    frame = frame_table(catalog)
    if frame is not None:
        return _open_table(frame, None, root, bound)
    if isinstance(catalog, bytes) or not isinstance(catalog, Iterable):
        raise UsageError(
            f"A {type(catalog).__name__} is no catalog; give the path of a folder or a table, a data frame, or items."
        )
    return _open_items(catalog, root, bound)


def _open_path(path: Path, images: Path | str | None) -> Catalog:
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a folder above it that may not be entered
        raise CatalogError(f"{path} can not be read: {getattr(error, 'strerror', None) or error}.") from error
    if is_folder:
        return _open_folder(path)
    if not is_there:
        raise CatalogError(f"There is no catalog at {path}; give a folder of photos or a CSV, JSONL or Parquet file.")
    table = open_table(path, what="catalog: give a folder of photos, or a file")
    root = Path(images) if images is not None else path.parent
    return _open_table(table, path, root, _resolved(root))


def _resolved(root: Path) -> Path:
    if not root.is_dir():
        raise CatalogError(f"The folder of images {root} does not exist; give it with --images.")
    return root.resolve()


def _open_table(table: Table, path: Path | None, root: Path, bound: Path | None) -> Catalog:
    name = path or "The data frame"
    if table.columns is not None:
        check_columns(table.columns, ("id", "image"), name)

    def read() -> Iterator[Item | Failure]:
        for row in table.rows():
            if isinstance(row, Failure):
                yield row
            else:
                cells = dict(row.cells)
                item_id, image, title = (cells.pop(name, "").strip() for name in _OWN_COLUMNS)
                yield _checked(row.where, item_id, image, title, cells, root, bound)

    _require_content(read(), f"{name} has no rows; there is nothing to index.")
    known = None if table.columns is None else tuple(name for name in table.columns if name not in _OWN_COLUMNS)
    return Catalog(path, known, read)


def _open_items(items: Iterable[Any], root: Path, bound: Path | None) -> Catalog:
    is_read_once, passes = iter(items) is items, count()

    def read() -> Iterator[Item | Failure]:
        if next(passes) and is_read_once:
            raise CatalogError(
                "The items come from a generator, which was read already; give a list, or a new generator."
            )
        number = 0
        for number, item in enumerate(items, start=1):
            where = f"item {number} of the catalog"
            yield item if isinstance(item, Failure) else _given(item, where, root, bound)
        if not number:
            raise CatalogError("The catalog has no items; there is nothing to index.")

    if not is_read_once:
        next(read())
    return Catalog(None, None, read, is_read_once)


def _given(item: Any, where: str, root: Path, bound: Path | None) -> Item | Failure:
    """Return an item that a program made, whose fields may be numbers, or of any other type."""
    try:
        item_id, title = given_text("id", item.id), given_text("title", item.title)
        image = "" if item.image is None else os.fspath(item.image)
        more = [os.fspath(photo) for photo in item.more_photos]
        attributes = {str(name): given_text(name, value) for name, value in item.attributes.items()}
    except (*NOT_TEXT, AttributeError) as error:
        return UnreadPart(where, "catalog", f"{where} can not be read: {str(error).rstrip('.')}.")
    checked = _checked(where, item_id, image, title, attributes, root, bound)
    if isinstance(checked, Failure) or not more:
        return checked
    for photo in more:
        if bound is not None and (trouble := _path_trouble(root / photo, bound)):
            return Failure(item_id, "catalog", trouble)
    return replace(checked, more_photos=tuple(root / photo for photo in more))


def _open_folder(folder: Path) -> Catalog:
    root = folder.resolve()

    def read() -> Iterator[Item | Failure]:
        closed: list[UnreadPart] = []

        def note(error: OSError) -> None:
            closed.append(_unread(os.fsdecode(error.filename), folder, f"can not be listed: {error.strerror}"))

        # os.walk with sorted names keeps the order stable from run to run and holds one folder's names at a time.
        for place, subfolders, names in os.walk(folder, onerror=note):
            # A folder that can not be listed is told, or its items would seem to have left the catalog.
            yield from closed
            closed.clear()
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            links = [path for name in subfolders if (path := Path(place, name)).is_symlink()]
            yield from (_unread(path, folder, _LINK) for path in links)
            for name in sorted(names):
                if Path(name).suffix.lower() not in SUFFIXES or name.startswith("."):
                    continue
                image = Path(place, name)
                item_id = image.relative_to(folder).with_suffix("").as_posix()
                reason = id_trouble(item_id) or _path_trouble(image, root)
                yield Failure(ascii(item_id)[1:-1], "catalog", reason) if reason else Item(item_id, image)
        yield from closed

    _require_content(read(), f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))}); there is nothing to index.")
    return Catalog(folder, (), read)


def _unread(place: Path | str, folder: Path, trouble: str) -> UnreadPart:
    where = ascii(Path(place).relative_to(folder).as_posix())[1:-1]
    return UnreadPart(where, "catalog", f"The folder {where} {trouble}.")


def _require_content(entries: Iterator[Item | Failure], message: str) -> None:
    if next(entries, None) is None:
        raise CatalogError(message)


def _checked(
    where: str, item_id: str, image: str, title: str, attributes: Mapping[str, str], root: Path, bound: Path | None
) -> Item | Failure:
    trouble = id_trouble(item_id) if item_id else f"{where} has no id."
    own = where if trouble else item_id
    long = [name for name, cell in (("title", title), *attributes.items()) if len(cell) > MAX_CELL_CHARACTERS]
    if trouble is None and not image:
        trouble = f"{where} names no image."
    elif trouble is None and len(image) > MAX_PATH_CHARACTERS:
        trouble = f"{where} names an image by a path of more than {MAX_PATH_CHARACTERS} characters."
    elif trouble is None and bound is not None:
        trouble = _path_trouble(root / image, bound)
    if trouble is None and long:
        trouble = f"{where}, column {long[0]}, has more than {MAX_CELL_CHARACTERS:,} characters."
    return Failure(own, "catalog", trouble) if trouble else Item(item_id, root / image, title, attributes)


def id_trouble(item_id: str) -> str | None:
    """Return a sentence on why a text can not be the id of an item, or None if it can."""
    if len(item_id) > MAX_ID_CHARACTERS:
        return f"The id that begins {item_id[:40]!r} has more than {MAX_ID_CHARACTERS} characters."
    if any(ord(character) < 32 or ord(character) == 127 for character in item_id):
        return f"The id {item_id!r} holds control characters."
    try:
        item_id.encode("utf-8")
    except UnicodeEncodeError:
        return f"The id {item_id!a} is not valid Unicode."
    return None


def _path_trouble(image: Path, resolved_root: Path) -> str | None:
    """Say why a catalog may not name this path: a table from a stranger must not read files elsewhere."""
    try:
        target = image.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL byte, a loop of links
        return f"The image path {str(image)!r} is not usable: {error}."
    if not target.is_relative_to(resolved_root):
        return (
            f"The image {image} lies outside the catalog's folder; copy it there, or name the folder that holds all "
            "photos with --images."
        )
    return None
