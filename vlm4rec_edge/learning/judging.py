"""Whether a shop's purchases help, found out on purchases that were held back, before anything is switched on.

Users are dealt into folds. For each fold, factors and popularity are learned from everything but the last item of its users,
and those last items are ranked among all others. The weights for a fold are those that rank best for the users of the other
folds; so what is reported was neither learned on nor chosen by. Where an item has a title and a caption, how far each counts
is chosen first, in the same way. Where photos have vectors of their own, all of it is done once more with factors that are
learned from, and predicted from, words and photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.significance import RESAMPLES, PairedDifference, compare
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.learning.factors import FactorSettings, learn_factors
from vlm4rec_edge.learning.ranks import Content, Known, ranks
from vlm4rec_edge.mixture import Weights, beside_photos, popularity_of_buyers

# Content is never dropped: an item's words are all that is known of it where purchases are few.
GRID = tuple(Weights(*pair) for pair in product((0.0, 0.3, 0.5, 0.7, 0.85), (0.0, 0.1, 0.2, 0.4, 0.8)))
WITHOUT_FACTORS = np.array([place for place, weights in enumerate(GRID) if weights.together == 0])
FOLDS = 4
# How much a photo vector counts beside the text vector where factors are learned from both. Whether they are is judged.
PHOTO_SHARE = 0.3
# Stricter than where people look at a figure: nobody looks at what was switched on by itself, and several things are tried.
LEVEL = 0.99
# Users that are judged; more would make an interval narrower than anybody asks for.
MOST_USERS = 3_000
# Scores computed in all, so that a large catalog takes minutes: fewer users are judged then.
_MOST_SCORES = 1_000_000_000
# Where so few purchases are held back in all, leaving them all out once costs nothing, and saves learning for every fold.
_FEW = 0.05


@dataclass(frozen=True)
class Judged:
    """The rank of the held-back item of each judged user, from 1, among all items but the history.

    Attributes:
        users: Positions in the split, [n], int64.
        fold: Which fold each is of, [n], int8.
        ranks: By ``GRID``, [weights, n], int32; the first are those of content alone.
        popularity: By popularity alone, [n], int32.
        present: By the content that the index has now, alone, [n], int32.
        content: Which of the contents was chosen; 0 is the present one.
        with_photos: As ``ranks``, where factors are learned from the photos' own vectors too; None where there are none.
    """

    users: np.ndarray
    fold: np.ndarray
    ranks: np.ndarray
    popularity: np.ndarray
    present: np.ndarray
    content: int = 0
    with_photos: np.ndarray | None = None

    def chosen(self, candidates: np.ndarray, ranks: np.ndarray | None = None) -> tuple[int, np.ndarray]:
        """Return the best of some rows of ``ranks`` for all users, and the ranks of each user by those of other folds.

        ``candidates`` are rows of ``GRID``; the first of equally good ones is taken. ``ranks``: default: those of ``ranks``.
        """
        ranks = self.ranks if ranks is None else ranks
        best, of_fold = _best(ranks[candidates], self.fold)
        chosen = candidates[of_fold[self.fold]]
        return int(candidates[best]), ranks[chosen, np.arange(len(self.users))]


def ndcg(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """Return NDCG@depth of single held-back items by their ranks; same shape, float64."""
    return np.where(ranks <= depth, 1 / np.log2(1 + ranks.astype(np.float64)), 0.0)


def recall(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """Return Recall@depth of single held-back items by their ranks: 0 or 1; same shape, float64."""
    return (ranks <= depth).astype(np.float64)


def is_beyond_chance(gain: PairedDifference) -> bool:
    """Whether a gain is large enough to change what is recommended: its interval of 99 % lies above 0, and p is at most 1 %.

    Both are asked for: of a handful of hits a bootstrap interval is too narrow, which random signs show.
    """
    return gain.low > 0 and gain.p_value <= 1 - LEVEL


def joined(content: Content, photos: Content) -> Content:
    """Return what factors are learned and predicted from where photos count: words and photos side by side."""
    return lambda positions: beside_photos(content(positions), photos(positions), PHOTO_SHARE)


def judge(
    split: Split,
    contents: Sequence[Content],
    *,
    photos: Content | None = None,
    new: np.ndarray | None = None,
    settings: FactorSettings | None = None,
    seed: int = 0,
    on_start: Callable[[int], Callable[[int], None]] | None = None,
) -> Judged:
    """Learn without each fold and rank what its users took last.

    Args:
        split: One held-back item a user, as ``leave_last_out`` makes it.
        contents: The content that the index has now, and others that it may have instead.
        photos: The photos' own vectors, zero where an item has none, if factors may be learned from them too.
        new: Which items the shop marks as new, [items], bool.
        settings: Of the factors.
        seed: Of the folds and of the order of equal scores.
        on_start: Called with how many users are evaluated; returns a function that is called with how many are done.

    Raises:
        UsageError: there are too few users, or too little was bought together.
    """
    random = np.random.default_rng(seed)
    most = min(MOST_USERS, max(FOLDS, _MOST_SCORES // max(split.item_count, 1)))
    users = np.sort(random.permutation(len(split))[:most])
    if len(users) < 2 * FOLDS:
        raise UsageError(
            f"Users who bought at least two items of this index: {len(split)}. That is too few to judge whether learning "
            f"helps; at least {2 * FOLDS} are needed."
        )
    fold = random.permutation(np.arange(len(users)) % FOLDS).astype(np.int8)
    ties = random.random(len(users))
    content = _Contents(split, users, fold, ties, new).choose(contents, seed)
    found = np.zeros((1 if photos is None else 2, len(GRID) + 1, len(users)), np.int32)
    done, advance = 0, on_start(len(found) * len(users)) if on_start else lambda _: None
    once = len(users) <= _FEW * (len(split.training.items) + len(split.test.items))
    for with_photos, part in enumerate(found):
        factors = None
        for number in range(FOLDS):
            own = np.flatnonzero(fold == number)
            chosen = contents[content.of_fold[number]]
            seen = joined(chosen, photos) if with_photos and photos else None
            if factors is None or not once or content.of_fold[number] != content.of_fold[number - 1]:
                without = split.with_tests(but=users if once else users[own])
                factors = learn_factors(without, seen or chosen, split.item_count, settings)
            known = Known(chosen, factors, popularity_of_buyers(factors.buyers, new), seen)
            part[:-1, own], part[-1, own] = ranks(split, users[own], known, GRID, ties[own])
            done += len(own)
            advance(done)
    words, *more = found
    present = words[0] if content.present is None else content.present
    return Judged(users, fold, words[:-1], words[-1], present, content.best, more[0][:-1] if more else None)


@dataclass(frozen=True)
class _Content:
    """Which content is best for all users, for each fold by the users of the others, and the ranks of the present one."""

    best: int = 0
    of_fold: np.ndarray = field(default_factory=lambda: np.zeros(FOLDS, np.int64))
    present: np.ndarray | None = None


@dataclass(frozen=True)
class _Contents:
    """How contents are compared: each with the weight of popularity that suits it, which costs no learning."""

    split: Split
    users: np.ndarray
    fold: np.ndarray
    ties: np.ndarray
    new: np.ndarray | None

    def choose(self, contents: Sequence[Content], seed: int) -> _Content:
        """Return the present content, unless another is significantly better."""
        if len(contents) == 1:
            return _Content()
        found = self._ranks(contents)
        weights = found.shape[1]
        flat = found.reshape(-1, len(self.users))
        every = np.arange(len(self.users))
        best, of_fold = _best(flat, self.fold)
        _, of_present = _best(found[0], self.fold)
        gain = compare(
            ndcg(flat[of_fold[self.fold], every]),
            ndcg(found[0][of_present[self.fold], every]),
            resamples=RESAMPLES,
            level=LEVEL,
            seed=seed,
        )
        if not is_beyond_chance(gain):
            return _Content(present=found[0, 0])
        return _Content(best // weights, of_fold // weights, found[0, 0])

    def _ranks(self, contents: Sequence[Content]) -> np.ndarray:
        """Return the rank of each held-back item by each content and weight of popularity: [contents, weights, users]."""
        weights = [GRID[place] for place in WITHOUT_FACTORS]
        found = np.zeros((len(contents), len(weights), len(self.users)), np.int32)
        for number in range(FOLDS):
            own = np.flatnonzero(self.fold == number)
            bought = self.split.with_tests(but=self.users[own]).items
            popularity = popularity_of_buyers(np.bincount(bought, minlength=self.split.item_count), self.new)
            for place, content in enumerate(contents):
                known = Known(content, None, popularity)
                found[place, :, own] = ranks(self.split, self.users[own], known, weights, self.ties[own])[0].T
        return found


def _best(ranks: np.ndarray, fold: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the row of the highest NDCG@10 for all users, and for each fold by the users of the others: [folds], int64."""
    gains = ndcg(ranks)
    of_fold = [int(gains[:, fold != number].mean(axis=1).argmax()) for number in range(FOLDS)]
    return int(gains.mean(axis=1).argmax()), np.array(of_fold)
