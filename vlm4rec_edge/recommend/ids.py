"""The ids that are asked for, among those that an index holds: which are meant, which are unknown, and which nearly fit."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vlm4rec_edge.errors import UnknownItemError
from vlm4rec_edge.given import Place
from vlm4rec_edge.items import nfc, same_number

if TYPE_CHECKING:
    from collections.abc import Iterator

# Up to so many ids are compared letter by letter with one that is unknown; that takes a tenth of a second.
_COMPARED = 20_000
# Unknown ids that a message names.
_NAMED = 5


class IdSource(Protocol):
    """What ids are looked up in; every ``ItemSource`` is one."""

    @property
    def folder(self) -> Place:
        """What was opened, for messages."""

    def ids(self) -> Iterator[str]:
        """Yield the id of every item."""

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each id that is known."""


@dataclass(frozen=True)
class Found:
    """Ids that were looked up.

    Attributes:
        ids: One for each that was given, in order: as the index writes it, or as it was given where it is unknown.
        rows: Vector row of each known id, as the index writes it.
        unknown: Ids that the index does not hold, as they were given, each once, in order.
    """

    ids: list[str]
    rows: Mapping[str, int]
    unknown: list[str]


class KnownIds:
    """Looks ids up in one source. An id is compared by its Unicode NFC form, and answered as the index writes it."""

    def __init__(self, source: IdSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._other_forms: dict[str, str] | None = None

    def look_up(self, ids: Sequence[str]) -> Found:
        """Return what some ids mean here."""
        rows = self._source.rows_of(ids)
        unknown = [item for item in dict.fromkeys(ids) if item not in rows]
        if all(item.isascii() for item in unknown):  # then there is no other form of them
            return Found(list(ids), rows, unknown)
        forms = self._forms_that_are_not_nfc()
        normal = {item: nfc(item) for item in unknown}
        of_normal = self._source.rows_of(normal.values())
        meant = {item: form if form in of_normal else forms.get(form) for item, form in normal.items()}
        held = {item: form for item, form in meant.items() if form is not None}
        rows = {**rows, **self._source.rows_of(held.values())}
        return Found([held.get(item, item) for item in ids], rows, [item for item in unknown if item not in held])

    def _forms_that_are_not_nfc(self) -> Mapping[str, str]:
        with self._lock:
            if self._other_forms is None:
                self._other_forms = {nfc(item): item for item in self._source.ids() if nfc(item) != item}
            return self._other_forms

    def error(self, unknown: Sequence[str]) -> UnknownItemError:
        """Return the error that names unknown ids, and what the first may have been meant for."""
        return UnknownItemError(f"The index {self._source.folder} holds no item {named(unknown)}; {self.hint(unknown)}")

    def hint(self, unknown: Sequence[str]) -> str:
        """Return how a sentence about unknown ids goes on: what one was meant for, or where all ids are listed."""
        ids = list(self._source.ids())
        for item in unknown[:_NAMED]:
            if number := next((held for held in ids if same_number(item, held)), None):
                return (
                    f"did you mean {number!r}? It is the same number as {item!r}, but ids are texts, and every character "
                    "counts."
                )
        if len(ids) <= _COMPARED and (near := difflib.get_close_matches(unknown[0], ids, n=3)):
            return f"did you mean {' or '.join(map(repr, near))}?"
        return f"`vlm4rec-edge items {self._source.folder}` lists what it holds."


def named(ids: Sequence[str]) -> str:
    """Return some ids as a message names them: the first few, and how many more there are."""
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(map(repr, ids[:_NAMED])) + more
