"""Several interests in one history: split it, and merge what each finds so that every interest has its share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

# Spherical k-means on a history settles within a few rounds; the bound only ends a tie that flips for ever.
_ROUNDS = 25
# Vectors nearer to each other than this are one point, and a second centre on it would stand for nothing.
_SAME = 1 - 1e-6


def split_interests(vectors: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return the interest of each vector, numbered from 0 without gaps: shape [n], int64.

    Spherical k-means (Dhillon and Modha, "Concept decompositions for large sparse text data using clustering", Machine
    Learning 42, 2001). The same history always gives the same interests: the first centre is the vector nearest to the
    mean, each next one the vector farthest from all centres so far (Gonzalez, "Clustering to minimize the maximum
    intercluster distance", 1985).

    Args:
        vectors: Shape [n, dimensions], unit length, n at least 1.
        weights: Shape [n], not all 0.
        count: At most so many interests; fewer where the history holds fewer different vectors.
    """
    points = np.asarray(vectors, dtype=np.float64)
    centres = _farthest_first(points, weights, count)
    labels = np.argmax(points @ centres.T, axis=1)
    for _ in range(_ROUNDS):
        sums = ((labels == np.arange(len(centres))[:, None]) * weights) @ points
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), centres)
        before, labels = labels, np.argmax(points @ centres.T, axis=1)
        if (before == labels).all():
            break
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def _farthest_first(points: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    counted = points[weights > 0]
    chosen = [int(np.argmax(counted @ (weights @ points)))]
    nearest = counted @ counted[chosen[0]]
    while len(chosen) < count and nearest.min() < _SAME:
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, counted @ counted[chosen[-1]])
    return counted[chosen]


def fair_places(keys: Sequence[Sequence[Hashable]], importance: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Return which entries of several ranked lists make up one list of ``count``, as (list, place in it).

    The next place goes to the list with the largest importance / (2 * places so far + 1), the rule of Sainte-Lague, so
    that at every length each list has its share (Dang and Croft, "Diversity by proportionality", SIGIR 2012, take the
    same rule for search results). A key that was taken is passed over; a list that has no more leaves its places to the
    others.
    """
    taken: set[Hashable] = set()
    followers = [iter(enumerate(ranked)) for ranked in keys]
    heads = {number: head for number, follower in enumerate(followers) if (head := next(follower, None))}
    shares = importance.tolist()
    places, claims = [0] * len(keys), list(shares)
    chosen: list[tuple[int, int]] = []
    while heads and len(chosen) < count:
        winner = max(heads, key=claims.__getitem__)
        place, key = heads[winner]
        taken.add(key)
        chosen.append((winner, place))
        places[winner] += 1
        claims[winner] = shares[winner] / (2 * places[winner] + 1)
        for number in [number for number, head in heads.items() if head[1] == key]:
            following = next((head for head in followers[number] if head[1] not in taken), None)
            if following is None:
                del heads[number]
            else:
                heads[number] = following
    return chosen
