"""What a row may learn from: the histories of users, of which a few items are kept apart to say when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.evaluation import ItemLists

# Of half of the users who have enough of it, the last item: nearest to what is to be predicted, and a small loss.
_VALIDATED_SHARE = 0.5
_LEAST_HISTORY = 3  # two items are left: one to predict the other
_SHUFFLE = 1


@dataclass(frozen=True)
class Histories:
    """Histories of users, without any test item: neither their lists nor anything else here ever held one.

    Attributes:
        whole: All of it, for the vectors at the end.
        taught: What is learned from: the same without the items of ``held``.
        validated: Users of whom an item is kept apart, [n] positions.
        held: That item of each, [n].
        item_count: How many items there are.
    """

    whole: ItemLists
    taught: ItemLists
    validated: np.ndarray
    held: np.ndarray
    item_count: int

    def is_taught(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return whether a user is taught an item, for each of ``users`` [n] and ``items`` [m]: [n, m], bool."""
        known = np.zeros((len(users), self.item_count), bool)
        for place, user in enumerate(users):
            known[place, self.taught[user]] = True
        return known[:, items]


def histories_of(whole: ItemLists, item_count: int, seed: int) -> Histories:
    """Keep apart the last item of some users, drawn by ``seed``; of none where nobody has enough items."""
    enough = np.flatnonzero(whole.sizes >= _LEAST_HISTORY)
    order = np.random.default_rng((_SHUFFLE, seed)).permutation(enough)
    validated = np.sort(order[: int(np.ceil(len(enough) * _VALIDATED_SHARE))])
    last = whole.starts[validated + 1] - 1
    keep = np.ones(len(whole.items), bool)
    keep[last] = False
    return Histories(whole, whole.only(keep), validated, whole.items[last].astype(np.int64), item_count)


def validation_value(users: np.ndarray, items: np.ndarray, histories: Histories) -> float:
    """Return the mean reciprocal rank of the items kept apart, among all items but those the user is taught.

    Of a few hundred items Recall@10 finds a handful; the reciprocal rank tells them apart better.

    Args:
        users: A vector for each of ``histories.validated``, [n, dimensions].
        items: A vector for each item, [items, dimensions].
        histories: What was kept apart; where that is nothing the value is not a number.
    """
    if not len(histories.validated):
        return math.nan
    scores = users @ items.T
    for place, user in enumerate(histories.validated):
        scores[place, histories.taught[user]] = -np.inf
    own = scores[np.arange(len(scores)), histories.held][:, None]
    # Equals count half: a row that gives all items one score must not look perfect.
    ranks = 1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return float((1 / ranks).mean())
