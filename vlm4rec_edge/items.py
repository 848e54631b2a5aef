"""What every stage shares: what a catalog and an index hold, what could not be used and why, and what an id is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from vlm4rec_edge.errors import UsageError

Stage = Literal["catalog", "photo", "grounding", "encoding"]
# Far more digits than a shop's ids have, and few enough to compare quickly.
_DIGITS = 64


@dataclass(frozen=True)
class Item:
    """One product of a catalog: its id, its photo, and what the shop says about it.

    ``image`` is a path on this machine, its first photo; ``more_photos`` are its further ones, in the catalog's order, each
    once. ``attributes`` are the catalog's further columns, kept as text.
    """

    id: str
    image: Path
    title: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    more_photos: tuple[Path, ...] = ()

    @property
    def photos(self) -> tuple[Path, ...]:
        """All its photos, the first one first."""
        return (self.image, *self.more_photos)


@dataclass(frozen=True)
class StoredPhoto:
    """One of several photos of an item: its path, its caption, and what the caption said of each field."""

    image: str
    caption: str
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredItem:
    """An item as an index holds it; ``row`` is the place of its vector.

    ``image`` is its first photo. Where it has several, ``photos`` holds all of them, ``caption`` is their different captions
    one after the other, and a field is that of the first photo whose caption fills it; a bundle keeps no ``photos``.
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
    photos: tuple[StoredPhoto, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Something of a catalog that could not be used; the run went on without it.

    ``where`` is an item id, or the row of a table when there is no id; ``reason`` is a sentence.
    """

    where: str
    stage: Stage
    reason: str


@dataclass(frozen=True)
class LostPhoto(Failure):
    """One of several photos of an item that could not be used; ``where`` is the item, which another entry accounts for."""


@dataclass(frozen=True)
class UnreadPart(Failure):
    """A part of a catalog that could not be read, a folder or a row: it is unknown which items are in it."""


@dataclass(frozen=True)
class WebPhotos(Failure):
    """Photos that a catalog names by web address and that do not lie on this machine, with those ``addresses``."""

    addresses: tuple[str, ...] = ()


def item_id(value: Any) -> str:
    """Return the text that an id stands for: a text is itself (of an enumeration too), a whole number its digits.

    Raises:
        UsageError: it is of another type. A truth value, a fraction or a missing value cannot be an id, and ``5.0`` could be
            meant as ``5`` or as ``5.0``.
    """
    if isinstance(value, (str, Integral)) and not isinstance(value, bool):
        return str.__str__(value) if isinstance(value, str) else str(int(value))
    raise UsageError(f"{value!r:.60} ({type(value).__name__}) is not an item id; give ids as texts or whole numbers.")


def item_ids(values: Iterable[Any], what: str = "Items") -> list[str]:
    """Return the ids of any iterable (a list, an array, a Series, a generator), which is read once, in its order.

    Args:
        values: Ids as ``item_id`` takes them.
        what: How an error calls them, as the beginning of a sentence: "Items to deny".

    Raises:
        UsageError: ``values`` is one text, a mapping, a data frame, or no iterable, or one of its members is no id.
    """
    if isinstance(values, Mapping):
        raise UsageError(
            f"{what} are a list of ids, not a mapping, whose values would be lost; give its keys as a list."
        )
    kind = "text" if isinstance(values, str) else type(values).__name__
    # A data frame has two dimensions and yields the names of its columns.
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or getattr(values, "ndim", 1) != 1:
        raise UsageError(
            f"{what} are a list of ids, not one {kind}; give a list, or one column of a table or an array."
        )
    return [item_id(value) for value in values]


def nfc(text: str) -> str:
    """Return a text in Unicode's form NFC, by which ids are compared: file names unzipped from a Mac are in NFD.

    Source: https://www.unicode.org/reports/tr15/.
    """
    return unicodedata.normalize("NFC", text)


def is_nfc(text: str) -> bool:
    """Whether a text is in that form."""
    return unicodedata.is_normalized("NFC", text)


def same_number(one: str, other: str) -> bool:
    """Whether two texts are one whole number written differently, as spreadsheets and data frames do: ``7``, ``007``, ``7.0``.

    Texts that are equal, and those that are no whole numbers, are not.
    """
    if one == other:
        return False
    first = whole_number(one)
    return first is not None and first == whole_number(other)


def whole_number(text: str) -> Decimal | None:
    """Return the whole number that a text is in any notation, or None if it is none."""
    if len(text) > _DIGITS or not text.isascii() or not text[-1:].isdigit() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if abs(number.adjusted()) < _DIGITS and number == number.to_integral_value() else None
