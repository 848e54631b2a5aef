"""Captions that somebody else made, from a table, in place of a vision-language model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.checks import MAX_CELL_CHARACTERS
from vlm4rec_edge.catalog.formats import SUFFIXES
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.items import Failure, Item, nfc, whole_number
from vlm4rec_edge.tables.reading import open_table
from vlm4rec_edge.tables.roles import Layout, Wanted

# Raised when what is made of a caption in a table changes.
IMPORT_VERSION = 1
_WANTED = Wanted(
    (Layout("", {"id": ("id",), "caption": ("caption",)}),),
    ("id", "caption"),
    about="captions have the columns id and caption; ",
)
# What stands in place of a question. The first is stored, so it may not change.
_GIVEN = "imported caption, sha256 "
_NONE = "no caption for "


class ImportedCaptions:
    """The captions of a table, in the place of a ``Captioner``; loads no model.

    A caption's provenance is its source and the sha256 of its own text, so a new version of the table changes only the
    items whose captions it changes. Ids are compared by their Unicode form NFC.

    Args:
        path: A CSV, JSONL or Parquet table with the columns ``id`` and ``caption``; others are not read.
        source: Who made the captions, for people and for the license; default: the name of the file.

    Raises:
        CatalogError: the table cannot be read, lacks a column, names an item twice, or is empty. A row that cannot be
            used is a failure of its item instead.
    """

    def __init__(self, path: Path | str, *, source: str = "") -> None:
        self.path = path_of(path, "A table of captions")
        self.source = source or self.path.name
        self.place = {"captions": str(self.path.absolute())}
        self._texts: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._unread = ""
        self._read()
        self.identity: dict[str, Any] = {
            "name": self.source,
            "imported": IMPORT_VERSION,
            "source": self.source,
        }

    def _read(self) -> None:
        if not self.path.is_file():
            raise CatalogError(
                f"There is no table of captions at {self.path}; give a file with the columns id and caption."
            )
        table = open_table(self.path, _WANTED, what="table of captions: give a file")
        (id_column, *_), (caption_column, *_) = table.roles["id"], table.roles["caption"]
        for row in table.rows():
            if isinstance(row, Failure):  # it is unknown whose it was; an item will be found to have no caption
                self._unread = self._unread or f" A row of it cannot be read: {row.reason}"
                continue
            item_id = nfc(row.cells.get(id_column, "").strip())
            if not item_id:
                self._unread = self._unread or f" A row of it cannot be used: {row.where} has no id."
                continue
            if item_id in self._texts or item_id in self._reasons:
                raise CatalogError(f"{row.where} has the duplicate id {item_id!r}; keep one caption for each item.")
            text = " ".join(row.cells.get(caption_column, "").split())
            if not text:
                self._reasons[item_id] = f"{row.where} has an empty caption."
            elif len(text) > MAX_CELL_CHARACTERS:
                self._reasons[item_id] = f"{row.where} has a caption of more than {MAX_CELL_CHARACTERS:,} characters."
            else:
                self._texts[item_id] = text
        if not self._texts:
            raise CatalogError(f"{self.path} holds no caption; it needs the columns id and caption.{self._unread}")

    def question(self, item: Item) -> str:
        """Return what stands for the question: which text of whom the caption is."""
        text = self._texts.get(nfc(item.id))
        if text is None:
            return f"{_NONE}{nfc(item.id)}"
        return f"{_GIVEN}{hashlib.sha256(text.encode('utf-8')).hexdigest()}"

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield the caption of each request, or a ``Failure`` named by its key where the table has none."""
        by_question = {self.question(Item(item_id, Path())): text for item_id, text in self._texts.items()}
        for request in requests:
            text = by_question.get(request.question)
            if text is not None:
                yield Captioned(request.key, text)
            else:
                item_id = request.question.removeprefix(_NONE)
                reason = self._reasons.get(item_id) or (
                    f"{self.path.name} has no caption for the item {item_id!r}{self._near(item_id)}.{self._unread}"
                )
                yield Failure(request.key, "grounding", reason)

    def _near(self, item_id: str) -> str:
        """Return the half sentence that names an id of the table that differs only in how it is written."""
        near = self._near_ids.get(_loosely(item_id))
        return "" if near is None else f"; it has one for {near!r}, and every character of an id counts"

    @cached_property
    def _near_ids(self) -> dict[str, str]:
        return {_loosely(item_id): item_id for item_id in self._texts}


def _loosely(item_id: str) -> str:
    """Return an id without what spreadsheets and folders add to it: the notation of a number, case, the suffix of a photo."""
    name = item_id.casefold()
    name = name.removesuffix(next((suffix for suffix in SUFFIXES if name.endswith(suffix)), ""))
    number = whole_number(name)
    return name if number is None else f"{number:.0f}"
