"""Whether purchases help is found out on purchases that were held back."""

from __future__ import annotations

import numpy as np
import pytest
from made_purchases import ITEMS, at_random, bought, item_ids, together
from made_store import random_vectors, unit

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.significance import compare
from vlm4rec_edge.evaluation.split import leave_last_out
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.judging import FOLDS, GRID, LEVEL, Judged, is_beyond_chance, judge, ndcg, recall

CONTENT = random_vectors(ITEMS)
EVERY = np.arange(len(GRID))


def judged(interactions: Interactions, content: np.ndarray = CONTENT, seed: int = 0) -> Judged:
    return judge(leave_last_out(interactions, item_ids()), [lambda rows: content[rows]], seed=seed)


def test_what_is_bought_together_is_found_by_factors_and_not_by_words() -> None:
    found = judged(together())
    best, ranks = found.chosen(EVERY)
    assert GRID[best].together > 0
    assert recall(ranks).mean() > 0.6
    assert recall(found.ranks[0]).mean() < 0.1


def test_purchases_at_random_teach_nothing() -> None:
    found = judged(at_random())
    _, ranks = found.chosen(EVERY)
    assert abs(ndcg(ranks).mean() - ndcg(found.ranks[0]).mean()) < 0.02


def test_what_is_held_back_of_a_fold_is_not_learned_from() -> None:
    # Pairs that nobody else bought: a model that learned from what is held back would find it at once.
    found = judged(bought([[2 * number, 2 * number + 1] for number in range(ITEMS // 2)]))
    assert recall(found.ranks).mean() < 0.2


def test_the_weights_for_a_fold_are_chosen_on_the_others() -> None:
    ranks = np.full((len(GRID), 2 * FOLDS), 50, np.int32)
    fold = np.arange(2 * FOLDS, dtype=np.int8) % FOLDS
    ranks[3, fold == 0] = 1  # only the users of fold 0 are served well by the weights 3, and all others by 7
    ranks[7, fold != 0] = 2
    found = Judged(np.arange(2 * FOLDS), fold, ranks, ranks[0], ranks[0])
    _, chosen = found.chosen(EVERY)
    assert chosen[fold == 0].tolist() == [50, 50]
    assert set(chosen[fold != 0].tolist()) == {2}


def test_ranks_are_those_of_the_scores_with_the_history_masked() -> None:
    split = leave_last_out(together(40), item_ids())
    found = judge(split, [lambda rows: CONTENT[rows]])
    for place, user in enumerate(found.users.tolist()):
        history, (test,) = split.history[user], split.test[user]
        scores = CONTENT @ CONTENT[history].mean(axis=0)
        scores[history] = -np.inf
        assert found.ranks[0, place] == 1 + int((scores > scores[test]).sum())


def test_items_of_equal_scores_come_in_random_order() -> None:
    same = np.tile(CONTENT[:1], (ITEMS, 1))
    ranks = judged(at_random(), same).ranks[0]
    assert 90 < ranks.mean() < 150, "in the middle of 237, whatever the order of the catalog"


def test_a_handful_of_hits_is_not_beyond_chance_though_their_bootstrap_interval_is() -> None:
    none = np.zeros(3000)
    few, many = none.copy(), none.copy()
    few[:6], many[:12] = 1, 1
    assert compare(few, none, level=LEVEL).low > 0
    assert not is_beyond_chance(compare(few, none, level=LEVEL))
    assert is_beyond_chance(compare(many, none, level=LEVEL))


def test_another_content_is_chosen_only_where_it_is_better_beyond_chance() -> None:
    groups = np.empty(ITEMS, int)
    groups[np.random.default_rng(7).permutation(ITEMS)] = np.repeat(np.arange(24), 10)
    telling = unit(random_vectors(24, seed=3)[groups] + 0.6 * random_vectors(ITEMS, seed=4))
    split = leave_last_out(together(), item_ids())
    at_once = [lambda rows: CONTENT[rows], lambda rows: telling[rows]]
    found = judge(split, at_once)
    assert found.content == 1
    assert np.array_equal(found.present, judge(split, at_once[:1]).ranks[0])
    assert recall(found.ranks[0]).mean() > recall(found.present).mean() + 0.3
    other = random_vectors(ITEMS, seed=9)
    assert judge(split, [at_once[0], lambda rows: other[rows]]).content == 0


def test_the_same_seed_judges_the_same() -> None:
    one, other = judged(together(100)), judged(together(100))
    assert np.array_equal(one.ranks, other.ranks)
    assert not np.array_equal(one.fold, judged(together(100), seed=1).fold)


def test_too_few_users_are_an_error_that_says_how_many_it_takes() -> None:
    with pytest.raises(UsageError, match=r"bought at least two items of this index: 3\. .* at least 8"):
        judged(together(3))
