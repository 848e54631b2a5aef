"""What one user took, as it is given to every call: the ids, and weights and times where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import number_of
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
        UsageError: an id is none, ``items`` is a mapping, or weights or times are not one number an item.
    """

    user: str
    items: Sequence[Any]
    weights: Sequence[float] | None = None
    times: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Read what was given."""
        if isinstance(self.items, Mapping):
            raise UsageError(
                "The items of a history are a list of ids, not a mapping; give its keys as a list and its values as weights=."
            )
        object.__setattr__(self, "items", item_ids(self.items, "The items of a history"))
        for name in ("weights", "times"):
            if (values := getattr(self, name)) is not None:
                if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
                    kind = type(values).__name__
                    raise UsageError(f"The {name} of a history are a list of numbers, one an item, not one {kind}.")
                numbers = [number_of(value, f"Each of the {name} of a history") for value in values]
                object.__setattr__(self, name, numbers)
                if len(getattr(self, name)) != len(self.items):
                    raise UsageError(
                        f"There are {len(getattr(self, name))} {name} for {len(self.items)} items of the history; give one "
                        "for each."
                    )
