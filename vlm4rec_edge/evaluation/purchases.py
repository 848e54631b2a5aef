"""The purchases that an index is measured with or learns from: read, and their ids looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlm4rec_edge.given import path_of
from vlm4rec_edge.interactions import InteractionColumns, Interactions, read_interactions
from vlm4rec_edge.items import Failure
from vlm4rec_edge.recommend.ids import KnownIds, named
from vlm4rec_edge.recommend.source import ItemSource


@dataclass(frozen=True)
class Purchases:
    """Interactions whose ids are written as the index writes them.

    Attributes:
        file: The path of their table, or empty.
        interactions: All that could be read.
        failures: Rows that could not.
        unknown: Ids that the index does not hold.
        hint: How a sentence about those goes on; empty if there are none.
    """

    file: str
    interactions: Interactions
    failures: Sequence[Failure]
    unknown: Sequence[str]
    hint: str

    @property
    def about_left_out(self) -> str:
        """Sentences about ids that are unknown and rows that could not be used, a space before each; empty if all could."""
        told = ""
        if self.unknown:
            ids = len(self.interactions.items)
            told = f" Of {ids:,} item ids the index does not hold {len(self.unknown):,}: {named(self.unknown)}; {self.hint}"
        if self.failures:
            told += f" {len(self.failures):,} rows of {self.file} were left out; the first: {self.failures[0].reason}"
        return told


def read_purchases(
    source: ItemSource, given: Path | str | Interactions, columns: InteractionColumns | None
) -> Purchases:
    """Return purchases of the items of an index.

    Args:
        source: The index.
        given: A table as ``read_interactions`` reads it, or interactions.
        columns: What the columns of the table are called, where it is nothing known.

    Raises:
        CatalogError: the table cannot be read.
        UnknownItemError: the index holds none of the items.
    """
    file, failures = "", list[Failure]()
    if not isinstance(given, Interactions):
        file = str(path_of(given, "The table of interactions"))
        given, failures = read_interactions(given, columns)
    ids = KnownIds(source)
    found = ids.look_up(given.items)
    if not found.rows:
        raise ids.error(found.unknown)
    hint = ids.hint(found.unknown) if found.unknown else ""
    return Purchases(file, replace(given, items=tuple(found.ids)), failures, found.unknown, hint)
