"""Whether a shop's purchases help, found out on purchases that were held back, before anything is switched on.

Users are dealt into folds. For each fold, factors and popularity are learned from everything but the last item of its users,
and those last items are ranked among all others. The weights for a fold are those that rank best for the users of the other
folds; so what is reported was neither learned on nor chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.learning.factors import Factors, FactorSettings, learn_factors
from vlm4rec_edge.mixture import Weights, popularity_of_buyers

# Content is never dropped: an item's words are all that is known of it where purchases are few.
GRID = tuple(Weights(*pair) for pair in product((0.0, 0.3, 0.5, 0.7, 0.85), (0.0, 0.1, 0.2, 0.4, 0.8)))
FOLDS = 4
# Users that are judged; more would make an interval narrower than anybody asks for.
MOST_USERS = 10_000
# Scores computed in all, so that a large catalog takes minutes: fewer users are judged then.
_MOST_SCORES = 4_000_000_000
# 32 MB, and a few times that while ranks are counted.
_BLOCK_SCORES = 8_000_000


@dataclass(frozen=True)
class Judged:
    """The rank of the held-back item of each judged user, from 1, among all items but the history.

    Attributes:
        users: Positions in the split, [n], int64.
        fold: Which fold each is of, [n], int8.
        ranks: By ``GRID``, [weights, n], int32; the first are those of content alone.
        popularity: By popularity alone, [n], int32.
    """

    users: np.ndarray
    fold: np.ndarray
    ranks: np.ndarray
    popularity: np.ndarray

    def chosen(self, candidates: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the best of some rows of ``ranks`` for all users, and the ranks of each user by those of other folds.

        ``candidates`` are rows of ``GRID``; the first of equally good ones is taken.
        """
        gains = ndcg(self.ranks[candidates])
        ranks = np.empty(len(self.users), np.int32)
        for fold in range(FOLDS):
            best = candidates[int(gains[:, self.fold != fold].mean(axis=1).argmax())]
            ranks[self.fold == fold] = self.ranks[best, self.fold == fold]
        return int(candidates[int(gains.mean(axis=1).argmax())]), ranks


def ndcg(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """Return NDCG@depth of single held-back items by their ranks; same shape, float64."""
    return np.where(ranks <= depth, 1 / np.log2(1 + ranks.astype(np.float64)), 0.0)


def recall(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """Return Recall@depth of single held-back items by their ranks: 0 or 1; same shape, float64."""
    return (ranks <= depth).astype(np.float64)


def judge(
    split: Split,
    content: Callable[[np.ndarray], np.ndarray],
    *,
    new: np.ndarray | None = None,
    settings: FactorSettings | None = None,
    seed: int = 0,
    on_start: Callable[[int], Callable[[int], None]] | None = None,
) -> Judged:
    """Learn without each fold and rank what its users took last.

    Args:
        split: One held-back item a user, as ``leave_last_out`` makes it.
        content: From positions of items to their unit vectors, [n, dimensions], float32.
        new: Which items the shop marks as new, [items], bool.
        settings: Of the factors.
        seed: Of the folds and of the order of equal scores.
        on_start: Told how many users are judged; what it returns is told how many are done.

    Raises:
        UsageError: there are too few users, or too little was bought together.
    """
    random = np.random.default_rng(seed)
    most = min(MOST_USERS, max(FOLDS, _MOST_SCORES // max(split.item_count, 1)))
    users = np.sort(random.permutation(len(split))[:most])
    if len(users) < 2 * FOLDS:
        raise UsageError(
            f"Only {len(split)} users bought at least two items of this index; that is too few to find out whether learning "
            f"helps: {2 * FOLDS} at least."
        )
    fold = random.permutation(np.arange(len(users)) % FOLDS).astype(np.int8)
    ranks = np.zeros((len(GRID) + 1, len(users)), np.int32)
    done, advance = 0, on_start(len(users)) if on_start else lambda _: None
    for number in range(FOLDS):
        judged = np.flatnonzero(fold == number)
        factors = learn_factors(split.with_tests(but=users[judged]), content, split.item_count, settings)
        for part, own in _ranked(split, users[judged], content, factors, new, random):
            ranks[:, judged[part]] = own
            done += len(part)
            advance(done)
    return Judged(users, fold, ranks[:-1], ranks[-1])


def _ranked(
    split: Split,
    users: np.ndarray,
    content: Callable[[np.ndarray], np.ndarray],
    factors: Factors,
    new: np.ndarray | None,
    random: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield which of ``users`` were ranked, and their ranks by ``GRID`` and, last, by popularity."""
    everything = np.arange(split.item_count)
    popularity = popularity_of_buyers(factors.buyers, new)
    block = max(1, _BLOCK_SCORES // split.item_count)
    every = content(everything)
    learned = factors.of(every, everything)
    for start in range(0, len(users), block):
        part = np.arange(start, min(start + block, len(users)))
        histories = [split.history[user] for user in users[part]]
        tests = np.array([split.test[user][0] for user in users[part]])
        reads = np.stack([every[history].mean(axis=0) for history in histories]) @ every.T
        bought = np.stack([learned[history].mean(axis=0) for history in histories]) @ learned.T
        often = np.array([popularity[history].mean() for history in histories], np.float32)
        order = random.random(split.item_count, np.float32)
        masked = np.zeros(reads.shape, bool)
        for place, history in enumerate(histories):
            masked[place, history] = True
        ranks = [
            _ranks(
                (1 - w.together) * reads + w.together * bought + (w.often * often)[:, None] * popularity,
                masked,
                tests,
                order,
            )
            for w in GRID
        ]
        ranks.append(_ranks(np.broadcast_to(popularity, reads.shape).copy(), masked, tests, order))
        yield part, np.stack(ranks)


def _ranks(scores: np.ndarray, masked: np.ndarray, tests: np.ndarray, order: np.ndarray) -> np.ndarray:
    scores[masked] = -np.inf
    own = scores[np.arange(len(tests)), tests][:, None]
    before = (scores > own).sum(axis=1)
    before += ((scores == own) & (order < order[tests][:, None])).sum(axis=1)
    return np.asarray(1 + before, np.int32)
