"""The item types that every stage shares: what a catalog and an index hold, and what could not be used and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Stage = Literal["catalog", "photo", "grounding", "encoding"]


@dataclass(frozen=True)
class Item:
    """One product of a catalog: its id, its photo, and what the shop says about it.

    ``image`` is a path on this machine; ``attributes`` are the catalog's further columns, kept as text.
    """

    id: str
    image: Path
    title: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredItem:
    """An item as an index holds it; ``row`` is the place of its vector.

    ``attributes`` are the catalog's further columns and, where those say nothing, the fields of a structured caption; a field
    that is a list is one text with commas. ``fields`` is what the caption said, as it was said; empty for a free one.
    """

    id: str
    row: int
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Something of a catalog that could not be used; the run went on without it.

    ``where`` is an item id, or the row of a table when there is no id; ``reason`` is a sentence.
    """

    where: str
    stage: Stage
    reason: str


@dataclass(frozen=True)
class UnreadPart(Failure):
    """A part of a catalog that could not be read, a folder or a row: nobody can tell which items stand there."""
