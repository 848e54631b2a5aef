"""The purchases that an index is measured with or learns from: read, and their ids looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlm4rec_edge.given import path_of
from vlm4rec_edge.interactions import InteractionColumns, Interactions, read_interactions
from vlm4rec_edge.items import Failure
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.recommend.source import ItemSource


@dataclass(frozen=True)
class Purchases:
    """Interactions whose ids are written as the index writes them.

    Attributes:
        file: The path of their table, or empty.
        interactions: All that could be read.
        failures: Rows that could not.
        hint: A sentence about ids that the index does not hold; empty if there are none.
    """

    file: str
    interactions: Interactions
    failures: Sequence[Failure]
    hint: str

    @property
    def about_failures(self) -> str:
        """A sentence about rows that could not be used, with a space before it; empty if there are none."""
        if not self.failures:
            return ""
        return f" {len(self.failures):,} rows of {self.file} were left out; the first: {self.failures[0].reason}"


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
    return Purchases(file, replace(given, items=tuple(found.ids)), failures, hint)
