"""Ranks of held-back items, counted block by block, are those of the scores."""

from __future__ import annotations

import numpy as np
import pytest
from made_purchases import ITEMS, at_random, item_ids, together
from made_store import random_vectors

from vlm4rec_edge.evaluation.split import Split, leave_last_out
from vlm4rec_edge.learning import ranks as module
from vlm4rec_edge.learning.factors import learn_factors
from vlm4rec_edge.learning.judging import GRID
from vlm4rec_edge.learning.ranks import Known, ranks
from vlm4rec_edge.mixture import popularity_of_buyers

CONTENT = random_vectors(ITEMS)


def known_of(split: Split, content: np.ndarray = CONTENT) -> Known:
    factors = learn_factors(split.training, lambda rows: content[rows], ITEMS)
    return Known(lambda rows: content[rows], factors, popularity_of_buyers(factors.buyers))


def scores_of(split: Split, known: Known, user: int, share: tuple[float, float, float]) -> np.ndarray:
    parts = known.parts(np.arange(ITEMS))
    history = split.history[user]
    scores = sum(weight * part @ part[history].mean(axis=0) for weight, part in zip(share, parts, strict=True))
    scores = np.asarray(scores)
    scores[history] = -np.inf
    return scores


@pytest.mark.parametrize("block", [100, 7_000, 10_000_000])
def test_a_rank_counts_all_items_but_the_history_under_every_weight(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_SCORES", block)
    split = leave_last_out(together(50), item_ids())
    known, users = known_of(split), np.arange(0, 50, 3)
    found, by_popularity = ranks(split, users, known, GRID, np.zeros(len(users)))
    shares = [(1 - one.together, one.together, one.often) for one in GRID]
    for row, share in enumerate(shares):
        for place, user in enumerate(users.tolist()):
            scores = scores_of(split, known, user, share)
            own = scores[split.test[user][0]]
            least, most = (scores > own + 4e-6).sum(), (scores > own - 4e-6).sum() - 1
            assert 1 + least <= found[row, place] <= 1 + most, (row, user)
    for place, user in enumerate(users.tolist()):
        scores = scores_of(split, known, user, (0.0, 0.0, 1.0))
        assert by_popularity[place] == 1 + int((scores > scores[split.test[user][0]] + 1e-6).sum())


def test_equal_scores_share_the_places_and_the_draw_says_which_is_taken() -> None:
    same = np.tile(CONTENT[:1], (ITEMS, 1))
    split = leave_last_out(at_random(40), item_ids())
    known = Known(lambda rows: same[rows], None, np.zeros(ITEMS, np.float32))
    users = np.arange(len(split))
    left = ITEMS - split.history.sizes
    for draw, expected in ((0.0, np.ones(len(users))), (0.5, 1 + left // 2), (0.999999, left)):
        found, _ = ranks(split, users, known, GRID[:1], np.full(len(users), draw))
        assert found[0].tolist() == expected.tolist()
