"""How often each way of recommending stays within a taste: counted over made shoppers, and said in sentences.

The sentences are made of the figures, whichever way these point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vlm4rec_edge.demo.tastes import BOUGHT, TASTES, Items, Taste, made_histories, members
from vlm4rec_edge.evaluation.significance import Estimate, PairedDifference, bootstrap_interval, compare
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.recommender import Recommender

# So many recommendations of each shopper are counted.
COUNTED = 10


@dataclass(frozen=True)
class TasteCount:
    """How many of ten recommendations are of the taste of the shopper.

    Attributes:
        taste: The taste.
        members: How many items of the shop are of it.
        items: How many items the shop has.
        by_words, by_photos: The number for each made shopper, [shoppers], float64, in the same order.
    """

    taste: Taste
    members: int
    items: int
    by_words: np.ndarray
    by_photos: np.ndarray

    @property
    def chance(self) -> float:
        """How many would be of the taste if they were drawn at random."""
        return COUNTED * (self.members - BOUGHT) / (self.items - BOUGHT)

    @property
    def most(self) -> int:
        """How many there can be at most."""
        return min(COUNTED, self.members - BOUGHT)

    @cached_property
    def words(self) -> Estimate:
        """Their mean by the words, with its interval over shoppers."""
        return bootstrap_interval(self.by_words)

    @cached_property
    def photos(self) -> Estimate:
        """Their mean by the photos."""
        return bootstrap_interval(self.by_photos)

    @cached_property
    def difference(self) -> PairedDifference:
        """How many more there are by the words than by the photos."""
        return compare(self.by_words, self.by_photos)

    @property
    def verdict(self) -> str:
        """What the figures show, as a sentence."""
        more, fewer = (int((sign * (self.by_words - self.by_photos) > 0).sum()) for sign in (1, -1))
        shoppers = len(self.by_words)
        told = (
            f"Of {shoppers} shoppers {more} got more of it by words, {fewer} by photos, "
            f"{shoppers - more - fewer} as much either way."
        )
        return f"{_sentence(self.difference, 'it')} {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return its part of the document that ``demo --json`` prints."""
        difference = {name: getattr(self.difference, name) for name in ("mean", "low", "high")}
        return {
            "taste": self.taste.name,
            "kind": self.taste.kind,
            "items": self.members,
            "shoppers": len(self.by_words),
            "words": asdict(self.words),
            "photos": asdict(self.photos),
            "difference": difference,
            "chance": self.chance,
        }


def count_tastes(items: Items, words: Recommender, photos: Recommender) -> list[TasteCount]:
    """Count every taste of which the shop has enough items."""
    counts = []
    for taste in TASTES:
        of_taste = set(members(taste, items))
        histories = [History(str(number), bought) for number, bought in enumerate(made_histories(taste, items))]
        if histories:
            found = [_kept(shop, histories, of_taste) for shop in (words, photos)]
            counts.append(TasteCount(taste, len(of_taste), len(items), *found))
    return counts


def _kept(shop: Recommender, histories: Sequence[History], of_taste: set[str]) -> np.ndarray:
    answers = shop.recommend_many(histories, COUNTED)
    return np.array([len(of_taste.intersection(answer.items)) for answer in answers], np.float64)


def what_it_shows(counts: Sequence[TasteCount]) -> str:
    """Return what all counts together show, in a sentence for each kind of taste; empty where nothing was counted."""
    told = []
    for kind, name in (("occasion", "an occasion"), ("colour", "a colour")):
        own = [count for count in counts if count.taste.kind == kind]
        if own:
            by_words, by_photos = (
                np.concatenate([getattr(count, way) for count in own]) for way in ("by_words", "by_photos")
            )
            chance = float(np.mean([count.chance for count in own]))
            told.append(
                f"{_verdict(compare(by_words, by_photos), name)}: {by_words.mean():.1f} of {COUNTED} recommendations by "
                f"words, {by_photos.mean():.1f} by photos, {chance:.1f} at random."
            )
    return " ".join(told)


def _verdict(difference: PairedDifference, what: str) -> str:
    if difference.low > 0:
        return f"Words keep to {what} better than photos do"
    if difference.high < 0:
        return f"Photos keep to {what} better than words do"
    return f"Words and photos keep to {what} equally well, as far as can be told"


def _sentence(difference: PairedDifference, what: str) -> str:
    if difference.low <= 0 <= difference.high:
        told = (
            f"words less photos is {difference.mean:.2f} of {COUNTED} ({difference.low:.2f} to {difference.high:.2f})"
        )
    else:
        least, most = sorted((abs(difference.low), abs(difference.high)))
        told = f"{abs(difference.mean):.2f} more of {COUNTED} ({least:.2f} to {most:.2f})"
    return f"{_verdict(difference, what)}: {told}."
