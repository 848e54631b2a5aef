"""Shoppers for photos of which nothing is known: made up from groups of photos whose captions are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.demo.tastes import BOUGHT
from vlm4rec_edge.recommend.interests import split_interests
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
        history: What its made-up shopper bought: the items in the middle of the group, of different captions where it has any.
        size: How many items it has.
        words: What most of its captions say, and few of the others, the most telling first.
    """

    history: Sequence[str]
    size: int
    words: Sequence[str]


def made_groups(captions: Mapping[str, str], vectors: np.ndarray) -> list[Group]:
    """Return groups of items, the largest first; none where there is nothing to recommend, of less than two items.

    Args:
        captions: By item id.
        vectors: Of the captions, in this order, unit length, [items, dimensions].
    """
    ids = list(captions)
    if len(ids) < 2:
        return []
    sample = np.random.default_rng(0).permutation(len(ids))[:MOST_GROUPED]
    sample.sort()
    count = max(1, min(MOST_GROUPS, len(sample) // _IN_A_GROUP))
    labels = split_interests(vectors[sample], np.ones(len(sample)), count)
    sizes = np.bincount(labels)
    largest = np.argsort(-sizes, kind="stable")
    if sizes.max() > 1:  # one photo that is like no other is no group
        largest = largest[sizes[largest] > 1]
    said = Counter(word for place in sample.tolist() for word in words_of(captions[ids[place]]))
    return [_group(ids, captions, vectors, sample[labels == label], said) for label in largest.tolist()]


def _group(
    ids: Sequence[str], captions: Mapping[str, str], vectors: np.ndarray, own: np.ndarray, said: Mapping[str, int]
) -> Group:
    closeness = vectors[own] @ vectors[own].mean(axis=0)
    nearest = [ids[place] for place in own[np.argsort(-closeness, kind="stable")].tolist()]
    different = list({captions[item_id]: item_id for item_id in reversed(nearest)}.values())[::-1]
    in_order = [*different, *(item_id for item_id in nearest if item_id not in different)]
    # One of the group at least is left to be found, and one photo at least to be recommended.
    bought = max(1, min(BOUGHT, len(own) - 1, len(ids) - 1))
    return Group(in_order[:bought], len(own), _telling_words([captions[item_id] for item_id in nearest], said))


def _telling_words(captions: Sequence[str], said: Mapping[str, int]) -> list[str]:
    own = Counter(word for caption in captions for word in words_of(caption))
    most = [word for word, times in own.items() if 2 * times > len(captions)]
    return sorted(most, key=lambda word: (-own[word] / said[word] * own[word], word))[:_WORDS_SHOWN]
