"""Shoppers for photos of which nothing is known: made up from groups of photos whose captions are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.demo.tastes import BOUGHT
from vlm4rec_edge.recommend.words import words_of

# A report shows so many, and of a large catalog the groups of a sample are as good.
MOST_GROUPS, MOST_GROUPED = 5, 2_000
# Fewer photos than this are no group to recommend from.
_IN_A_GROUP = 4
_WORDS_SHOWN = 3


@dataclass(frozen=True)
class Group:
    """A group of items.

    Attributes:
        history: What its made-up shopper bought: the items in the middle of it, of different captions where it has any.
        size: How many items it has.
        words: What most of its captions say, and few of the others, the most telling first.
    """

    history: Sequence[str]
    size: int
    words: Sequence[str]


def made_groups(captions: Mapping[str, str], vectors: np.ndarray) -> list[Group]:
    """Return groups of items, those first that are most alike; none where there is nothing to recommend, of less than two.

    A group is an item with its nearest: the one first that has the nearest neighbours, then the one of those that are left.

    Args:
        captions: By item id.
        vectors: Of the captions, in this order, unit length, [items, dimensions].
    """
    ids = list(captions)
    if len(ids) < 2:
        return []
    sample = np.sort(np.random.default_rng(0).permutation(len(ids))[:MOST_GROUPED])
    closeness = vectors[sample] @ vectors[sample].T
    np.fill_diagonal(closeness, np.inf)  # an item is the first of its own group
    count = max(1, min(MOST_GROUPS, len(sample) // _IN_A_GROUP))
    said = Counter(word for place in sample.tolist() for word in words_of(captions[ids[place]]))
    left = np.arange(len(sample))
    groups = []
    for _ in range(count):
        among = closeness[np.ix_(left, left)]
        neighbours = np.sort(among, axis=1)[:, -1 - BOUGHT : -1]
        nearest = np.argsort(-among[np.argmax(neighbours.mean(axis=1))], kind="stable")[: len(sample) // count]
        own = [ids[place] for place in sample[left[nearest]].tolist()]
        words = _telling_words([captions[item_id] for item_id in own], said, len(sample))
        groups.append(Group(_history(own, captions, len(ids)), len(own), words))
        left = np.delete(left, nearest)
    return groups


def _history(group: Sequence[str], captions: Mapping[str, str], items: int) -> list[str]:
    """Return what is bought of a group: the first ones, of different captions as far as it has any."""
    different = list({captions[item_id]: item_id for item_id in reversed(group)}.values())[::-1]
    in_order = [*different, *(item_id for item_id in group if item_id not in different)]
    # One of the group at least is left to be found, and one photo at least to be recommended.
    return in_order[: max(1, min(BOUGHT, len(group) - 1, items - 1))]


def _telling_words(captions: Sequence[str], said: Mapping[str, int], count: int) -> list[str]:
    """Return words that most of a group's captions say, and more of them than of all ``count`` captions."""
    own = Counter(word for caption in captions for word in words_of(caption))
    size, is_all = len(captions), len(captions) == count
    most = [word for word, times in own.items() if 2 * times > size and (is_all or times * count > said[word] * size)]
    return sorted(most, key=lambda word: (-own[word] * own[word] / said[word], word))[:_WORDS_SHOWN]
