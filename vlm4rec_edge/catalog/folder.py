"""A folder of photos, whose names are the items' ids; what a file is, its content says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vlm4rec_edge.catalog.checks import id_trouble, path_trouble
from vlm4rec_edge.catalog.formats import SUFFIXES, format_of, unread_format
from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.errors import CatalogError, MissingDependencyError
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.tables.reading import open_table

_LINK = "is a link, which is not followed; put the photos there instead"
# What Windows, macOS and network drives put beside photos.
_OF_THE_SYSTEM = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"})
_NAMED = 5


class Folder:
    """A folder of photos.

    Args:
        folder: The folder.
        bound: Links to photos may lead into this folder, and into the folder itself.
    """

    def __init__(self, folder: Path, bound: Path | None = None) -> None:
        self._folder = folder
        self._bounds = [folder.resolve(), *([] if bound is None else [bound])]
        self._others, self._first_others, self._tables = 0, list[str](), list[Path]()

    def notes(self) -> tuple[str, ...]:
        """Return a sentence about the files that are no photos, if there are any, and one about a table among them."""
        if not self._others:
            return ()
        table = next(filter(_is_catalog, self._tables), None)
        told = f"{table} is a table of products; give it in place of the folder for their ids, titles and columns."
        return (self._about_others(), *([told] if table else []))

    def _about_others(self) -> str:
        more = f" and {self._others - _NAMED:,} more" if self._others > _NAMED else ""
        are = "file is no photo and is" if self._others == 1 else "files are no photos and are"
        return f"{self._others:,} {are} left out: {', '.join(self._first_others)}{more}."

    def read(self) -> Iterator[Item | Failure]:
        """Yield every photo below the folder; names that begin with a dot are left out.

        A file with the suffix of a photo counts as one, as does any other whose first bytes are those of a photo.
        """
        self._others, self._first_others, self._tables = 0, [], []
        closed: list[UnreadPart] = []

        def note(error: OSError) -> None:
            closed.append(self._unread(os.fsdecode(error.filename), f"cannot be listed: {error.strerror}"))

        # os.walk with sorted names keeps the order stable from run to run and holds one folder's names at a time.
        for place, subfolders, names in os.walk(self._folder, onerror=note):
            # A folder that cannot be listed is reported, or its items would seem to have left the catalog.
            yield from closed
            closed.clear()
            subfolders[:] = sorted(filter(_is_shown, subfolders))
            links = [path for name in subfolders if (path := Path(place, name)).is_symlink()]
            yield from (self._unread(path, _LINK) for path in links)
            for name in sorted(filter(_is_shown, names)):
                entry = self._entry(Path(place, name))
                if entry is not None:
                    yield entry
        yield from closed

    def _entry(self, image: Path) -> Item | Failure | None:
        item_id = image.relative_to(self._folder).with_suffix("").as_posix()
        trouble = id_trouble(item_id) or self._path_trouble(image)
        if image.suffix.lower() not in SUFFIXES:
            form = format_of(image)
            if form is None:
                self._others += 1
                self._first_others += [_shown(image.name)][: _NAMED - len(self._first_others)]
                if image.parent == self._folder:
                    self._tables += [image][: _NAMED - len(self._tables)]
                return None
            trouble = trouble or unread_format(form, image)
        return Failure(_shown(item_id), "catalog", trouble) if trouble else Item(item_id, image)

    def _path_trouble(self, image: Path) -> str | None:
        troubles = [path_trouble(image, bound) for bound in self._bounds]
        return None if None in troubles else troubles[0]

    def _unread(self, place: Path | str, trouble: str) -> UnreadPart:
        where = _shown(Path(place).relative_to(self._folder).as_posix())
        return UnreadPart(where, "catalog", f"The folder {where} {trouble}.")


def _is_catalog(path: Path) -> bool:
    """Whether a file is a table that could be indexed."""
    try:
        open_table(path, CatalogColumns().wanted(), what="table")
    except (CatalogError, MissingDependencyError):
        return False
    return True


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _OF_THE_SYSTEM


def _shown(name: str) -> str:
    return ascii(name)[1:-1]
