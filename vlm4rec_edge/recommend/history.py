"""What one user took, as it is given to every call: the ids, and weights and times where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import item_ids


@dataclass(frozen=True)
class History:
    """What one user took, the oldest first. Any iterable will do, a generator too; it is read once, here.

    Attributes:
        user: Whose history it is; comes back in the answer.
        items: Item ids, texts or whole numbers; an id given twice counts twice. Kept as texts.
        weights: One number an item, from 0 on: ratings, counts, dwell times.
        times: When each item was taken, in any unit.

    Raises:
        UsageError: an id is none, or weights or times are not one an item.
    """

    user: str
    items: Sequence[Any]
    weights: Sequence[float] | None = None
    times: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Read what was given."""
        object.__setattr__(self, "items", item_ids(self.items, "The items of a history"))
        for name in ("weights", "times"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, list(values))
                if len(getattr(self, name)) != len(self.items):
                    raise UsageError(
                        f"There are {len(getattr(self, name))} {name} for {len(self.items)} items of the history; give one "
                        "for each."
                    )
