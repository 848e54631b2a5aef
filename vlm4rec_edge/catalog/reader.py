"""Open a catalog: a folder of photos, or a CSV, JSONL or Parquet table with one row an item."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vlm4rec_edge.catalog.photo import SUFFIXES
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.tables.reading import Row, open_table

# An id is a key in files, tables and URLs of the user's shop; more is a broken column, not an id.
MAX_ID_CHARACTERS = 512
# Longer paths open no file (PATH_MAX of Linux), and a million folders in one would take minutes to look up.
MAX_PATH_CHARACTERS = 4096
# A cell of more than this is a description pasted as HTML, or an attack; it would be carried through every stage.
MAX_CELL_CHARACTERS = 100_000

_OWN_COLUMNS = ("id", "image", "title")


@dataclass(frozen=True)
class Catalog:
    """A catalog that was found to be readable.

    ``columns`` are the attribute columns known before the first row (empty for folders and JSONL, whose rows speak
    for themselves). ``read`` starts a fresh pass, in catalog order, without holding more than one item.
    """

    path: Path
    columns: tuple[str, ...] | None
    read: Callable[[], Iterator[Item | Failure]]

    def count(self) -> int:
        """Return how many items and failures one pass yields (reads the table once, opens no photo)."""
        return sum(1 for _ in self.read())


def open_catalog(path: Path | str, *, images: Path | str | None = None) -> Catalog:
    """Open the catalog at ``path``.

    A folder: every photo below it is an item, its id the relative path without suffix, with ``/`` between folders;
    names that begin with a dot are left out.
    A table (``.csv``, ``.jsonl``/``.ndjson``, ``.parquet``): columns ``id`` and ``image`` (a path relative to the table's
    folder, or to ``images``), ``title`` if there is one, further columns kept as attributes.

    Args:
        path: Folder or table.
        images: Folder that the table's ``image`` column is relative to; default: the table's own folder.

    Raises:
        CatalogError: there is nothing at ``path``, it is no catalog, it is empty, or it lacks a column. Single bad rows
            are yielded as ``Failure`` by ``Catalog.read`` instead.
    """
    path = Path(path)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a folder above it that may not be entered
        raise CatalogError(f"{path} can not be read: {getattr(error, 'strerror', None) or error}.") from error
    if is_folder:
        return _open_folder(path)
    if not is_there:
        raise CatalogError(f"There is no catalog at {path}; give a folder of photos or a CSV, JSONL or Parquet file.")
    table = open_table(path, ("id", "image"), what="catalog: give a folder of photos, or a file")
    root = Path(images) if images is not None else path.parent
    if not root.is_dir():
        raise CatalogError(f"The folder of images {root} does not exist; give it with --images.")
    columns = None if table.columns is None else tuple(name for name in table.columns if name not in _OWN_COLUMNS)
    resolved_root = root.resolve()

    def read() -> Iterator[Item | Failure]:
        for row in table.rows():
            yield row if isinstance(row, Failure) else _item_of(row, root, resolved_root)

    _require_content(read(), f"{path} has no rows; there is nothing to index.")
    return Catalog(path, columns, read)


def _open_folder(folder: Path) -> Catalog:
    root = folder.resolve()

    def read() -> Iterator[Item | Failure]:
        closed: list[OSError] = []
        # os.walk with sorted names keeps the order stable from run to run and holds one folder's names at a time.
        for place, subfolders, names in os.walk(folder, onerror=closed.append):
            # A folder that can not be listed is told, or its items would seem to have left the catalog.
            yield from (_closed_folder(error, folder) for error in closed)
            closed.clear()
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            yield from (
                _linked_folder(Path(place, name), folder) for name in subfolders if Path(place, name).is_symlink()
            )
            for name in sorted(names):
                if Path(name).suffix.lower() not in SUFFIXES or name.startswith("."):
                    continue
                image = Path(place, name)
                item_id = image.relative_to(folder).with_suffix("").as_posix()
                reason = id_trouble(item_id) or _path_trouble(image, root)
                yield Failure(ascii(item_id)[1:-1], "catalog", reason) if reason else Item(item_id, image)
        yield from (_closed_folder(error, folder) for error in closed)

    _require_content(read(), f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))}); there is nothing to index.")
    return Catalog(folder, (), read)


def _closed_folder(error: OSError, folder: Path) -> UnreadPart:
    where = _within(Path(os.fsdecode(error.filename)), folder)
    return UnreadPart(where, "catalog", f"The folder {where} can not be listed: {error.strerror}.")


def _linked_folder(place: Path, folder: Path) -> UnreadPart:
    where = _within(place, folder)
    return UnreadPart(
        where, "catalog", f"The folder {where} is a link, which is not followed; put the photos there instead."
    )


def _within(place: Path, folder: Path) -> str:
    return ascii(place.relative_to(folder).as_posix())[1:-1]


def _require_content(rows: Iterator[Item | Failure], message: str) -> None:
    if next(rows, None) is None:
        raise CatalogError(message)


def _item_of(row: Row, root: Path, resolved_root: Path) -> Item | Failure:
    cells = dict(row.cells)
    item_id, image = cells.pop("id", "").strip(), cells.pop("image", "").strip()
    where = item_id if item_id and not id_trouble(item_id) else row.where
    if not item_id:
        return Failure(row.where, "catalog", f"{row.where} has no id.")
    reason = id_trouble(item_id)
    if reason is None and not image:
        reason = f"{row.where} names no image."
    if reason is None and len(image) > MAX_PATH_CHARACTERS:
        reason = f"{row.where} names an image by a path of more than {MAX_PATH_CHARACTERS} characters."
    if reason is None:
        reason = _path_trouble(root / image, resolved_root)
    if reason is None and (long := [name for name, cell in cells.items() if len(cell) > MAX_CELL_CHARACTERS]):
        reason = f"{row.where}, column {long[0]}, has more than {MAX_CELL_CHARACTERS:,} characters."
    if reason is not None:
        return Failure(where, "catalog", reason)
    return Item(item_id, root / image, cells.pop("title", "").strip(), cells)


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
