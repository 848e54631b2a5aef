"""The tastes of the demo's shoppers: a rule over the columns of the shop's table says which items are of which.

The rules were written down, and with them the shoppers and the seed that draws what they bought, before any recommendation
was looked at. A taste is no column that a captioner or a photo vector knows of: neither sees this file or the table.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

# So many made shoppers a taste; the first of them is the one who is shown.
HISTORIES = 200
BOUGHT = 3
_SEED = 25

# The items of a shop: the id and the columns of each.
Items: TypeAlias = Sequence[tuple[str, Mapping[str, str]]]

# For what a kind of product is bought, where the table has no column ``occasion``. Kinds that are not named are for none.
_KINDS: Mapping[str, frozenset[str]] = {
    occasion: frozenset(kinds.split(", "))
    for occasion, kinds in {
        "hiking": "boots, jacket, beanie, socks, hoodie, "
        "hiking boots, walking boots, rain jacket, outdoor jacket, fleece jacket, windbreaker, hiking trousers, backpack",
        "beach": "swimsuit, shorts, vest top, cap, "
        "bikini, swim shorts, summer dress, beach dress, sandals, flip-flops, sun hat, straw hat, beach bag, sunglasses",
        "office": "blazer, shirt, trousers, cardigan, "
        "suit, suit jacket, suit trousers, blouse, waistcoat, loafers, pencil skirt, tie, briefcase, laptop bag",
        "evening": "dress, skirt, bag, "
        "evening dress, evening gown, cocktail dress, evening top, sequin top, satin skirt, heels, high heels, clutch, "
        "clutch bag",
    }.items()
}
# The words by which a column ``occasion`` names them.
_WORDS: Mapping[str, re.Pattern[str]] = {
    occasion: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for occasion, words in {
        "hiking": "hiking|hikes?|trekking|trails?|mountains?|outdoors?",
        "beach": "beach|seaside|swimming|pool",
        "office": "office|work|business",
        "evening": "evenings?|party|parties|night out|going out",
    }.items()
}


def is_for(occasion: str, columns: Mapping[str, str]) -> bool:
    """Whether an item with these columns is for an occasion: by its column ``occasion``, or, if there is none, by its kind."""
    if "occasion" in columns:
        return _WORDS[occasion].search(columns["occasion"]) is not None
    return columns.get("kind", "").casefold() in _KINDS[occasion]


def _is_blue(columns: Mapping[str, str]) -> bool:
    return columns.get("colour", "").casefold() in ("light blue", "blue", "dark blue")


@dataclass(frozen=True)
class Taste:
    """One taste.

    Attributes:
        name: What it is for, as it goes into a sentence: "hiking".
        shopper: Who has it.
        story: What the report says about them.
        kind: Whether an occasion or a colour is what the items of the taste have in common.
        holds: Whether an item with these columns is of the taste.
    """

    name: str
    shopper: str
    story: str
    kind: Literal["occasion", "colour"]
    holds: Callable[[Mapping[str, str]], bool]

    @property
    def called(self) -> str:
        """What an item of the taste is: "for hiking", "blue"."""
        return f"for {self.name}" if self.kind == "occasion" else self.name


TASTES = (
    Taste("hiking", "Ada", "Goes hiking, in any colour.", "occasion", lambda columns: is_for("hiking", columns)),
    Taste("the beach", "Bela", "Packs for the beach.", "occasion", lambda columns: is_for("beach", columns)),
    Taste("the office", "Cleo", "Dresses for the office.", "occasion", lambda columns: is_for("office", columns)),
    Taste("an evening out", "Dana", "Is going out tonight.", "occasion", lambda columns: is_for("evening", columns)),
    Taste("blue", "Edda", "Wears blue, whatever it is.", "colour", _is_blue),
)


def members(taste: Taste, items: Items) -> list[str]:
    """Return the ids of those of some items that are of a taste."""
    return [item_id for item_id, columns in items if taste.holds(columns)]


def made_histories(taste: Taste, items: Items, *, count: int = HISTORIES, bought: int = BOUGHT) -> list[list[str]]:
    """Return what ``count`` made shoppers of a taste bought, ``bought`` ids each; none where the shop has no more of it.

    Each is drawn at random from the items of the taste: of different kinds, and where the taste is an occasion in different
    colours, as far as there are any, so that neither is what they have in common. The same items give the same histories,
    whatever their order.
    """
    own = sorted(((item_id, columns) for item_id, columns in items if taste.holds(columns)), key=lambda item: item[0])
    if len(own) <= bought:
        return []
    differing = ("kind",) if taste.kind == "colour" else ("kind", "colour")
    rng = random.Random(f"{_SEED} {taste.name}")
    return [_drawn(own, differing, bought, rng) for _ in range(count)]


def _drawn(own: Items, differing: Sequence[str], bought: int, rng: random.Random) -> list[str]:
    shuffled = rng.sample(own, len(own))
    chosen: list[tuple[str, Mapping[str, str]]] = []
    seen: set[tuple[str, str]] = set()
    for item in shuffled:
        looks = {(column, item[1].get(column, "")) for column in differing}
        if not looks & seen:
            chosen.append(item)
            seen |= looks
    chosen += [item for item in shuffled if item not in chosen]  # where the taste has too few kinds or colours
    return [item_id for item_id, _ in chosen[:bought]]
