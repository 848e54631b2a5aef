"""What a cell of a table says about photos: one path or address, or several, in the ways that shops write them."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vlm4rec_edge.addresses import is_photo_address
from vlm4rec_edge.catalog.checks import MAX_PATH_CHARACTERS, path_trouble

# A part of a cell that is a photo by itself; "red, size L.jpg" is one name and no list.
_NAMES_A_PHOTO = re.compile(r"\S.*\.[A-Za-z]\w{1,4}(\?\S*)?", re.DOTALL)
_BETWEEN = re.compile(r"[,;|\n]")
# An address may hold commas, but no spaces.
_BETWEEN_ADDRESSES = re.compile(r"[,;|]\s+|\s*\n\s*|[,;|](?=(?:https?|ftp):/|//)", re.IGNORECASE)
# A Path makes one slash of two.
_WEB = re.compile(r"(https?|ftp):/+|//(?=[^/])", re.IGNORECASE)
_FILE = re.compile(r"file://", re.IGNORECASE)
# Lists are short; a longer cell is no list, and Python's parser would take long to find out.
_LIST_CHARACTERS = 100_000


Fetched = Callable[[str], Path | None]


@dataclass(frozen=True)
class Trouble:
    """Why a photo cannot be used, as a sentence, and its address if it is one of the web."""

    reason: str
    address: str = ""


@dataclass(frozen=True)
class Images:
    """Where the photos of a catalog lie.

    Attributes:
        root: The folder that paths are relative to.
        bound: The folder, resolved, outside of which no photo is read; None without such a bound.
        fetched: Returns where the photo of a web address is on this machine, or None if it is not.
        any_address: Whether ``fetched`` is asked for addresses of every kind, not for those of the web alone.
    """

    root: Path
    bound: Path | None
    fetched: Fetched | None = None
    any_address: bool = False

    def of_cells(self, cells: Iterable[str]) -> tuple[list[Path], list[Trouble]]:
        """Return the photos that some cells name, each once, and why others cannot be used."""
        return self.of([name for cell in cells for name in image_names(cell, self.root)])

    def of(self, names: Iterable[str]) -> tuple[list[Path], list[Trouble]]:
        """Return the photos of some names, each once, and why others cannot be used."""
        placed = [self._placed(name) for name in dict.fromkeys(names)]
        photos = dict.fromkeys(place for place in placed if isinstance(place, Path))
        return list(photos), [place for place in placed if isinstance(place, Trouble)]

    def _placed(self, name: str) -> Path | Trouble:
        if len(name) > MAX_PATH_CHARACTERS:
            return Trouble(f"An image is named by a path of more than {MAX_PATH_CHARACTERS} characters.")
        if is_web_address(name):
            address = _WEB.sub(lambda match: f"{match[1] or 'https'}://", name, count=1)
            if address.lower().startswith("ftp"):
                return Trouble(f"The image {address} is an address that is not fetched; give one of https, or a file.")
            path = self.fetched(address) if self.fetched else None
            return path or Trouble(f"The image {address} is a web address; use --fetch.", address)
        if self.any_address and self.fetched and is_photo_address(name) and (path := self.fetched(name)):
            return path
        path = located(name, self.root)
        trouble = None if self.bound is None else path_trouble(path, self.bound)
        return Trouble(trouble) if trouble else path


def image_names(cell: str, root: Path) -> list[str]:
    """Return the names and addresses of photos in a cell, each once, in order.

    ``a.jpg, b.jpg`` (also with ``;``, ``|`` or a line break) and ``["a.jpg", "b.jpg"]`` are several; a file of ``root`` that
    is called so is one.
    """
    cell = cell.strip()
    names = _listed(cell)
    if names is None:
        parts = [part.strip() for part in (_BETWEEN_ADDRESSES if is_web_address(cell) else _BETWEEN).split(cell)]
        parts = [part for part in parts if part]
        several = len(parts) > 1 and all(_NAMES_A_PHOTO.fullmatch(part) or is_web_address(part) for part in parts)
        names = parts if several and not _is_file(root / cell) else [cell]
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def _listed(cell: str) -> list[str] | None:
    if not (cell.startswith("[") and cell.endswith("]")) or len(cell) > _LIST_CHARACTERS:
        return None
    for parse in (json.loads, ast.literal_eval):  # as JSON writes a list, and as pandas does
        try:
            names = parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return None


def is_web_address(name: str) -> bool:
    """Whether a name is an address that only a web server answers: ``https://`` and its kin, or ``//host/photo.jpg``."""
    return _WEB.match(name) is not None


def located(name: str, root: Path) -> Path:
    """Return the path of a photo that a catalog names, relative to ``root``; whether it is there is for others to find.

    A ``file://`` address is its path. Where no file has the name itself, it is read as an address (``%20``), with
    backslashes between folders, with a slash at its beginning that means ``root``, in another form of Unicode, or with
    its suffix, or all of it, in the other case (``.JPG``).
    """
    if _FILE.match(name):
        address = urlsplit(name)
        name = unquote(address.path if address.netloc in {"", "localhost"} else f"{address.netloc}{address.path}")
    path = root / name
    if _is_file(path):
        return path
    return next((other for other in _others(name, root) if _is_file(other)), path)


def _others(name: str, root: Path) -> Iterator[Path]:
    spellings = [name]
    if "%" in name:
        spellings.append(unquote(name))
    if "\\" in name:
        spellings += [spelling.replace("\\", "/") for spelling in spellings]
    spellings += [spelling.lstrip("/") for spelling in spellings if spelling.startswith("/")]
    for spelling in spellings:
        yield root / spelling
        if not spelling.isascii():
            for form in ("NFC", "NFD"):
                yield root / unicodedata.normalize(form, spelling)
        folder, slash, name = spelling.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        cases = (f"{stem}{dot}{suffix.lower()}", f"{stem}{dot}{suffix.upper()}", name.lower(), name.upper())
        for cased in dict.fromkeys(cases):
            for form in dict.fromkeys(unicodedata.normalize(form, folder + slash + cased) for form in ("NFC", "NFD")):
                yield root / form


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL byte
        return False
