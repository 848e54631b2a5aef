"""Co-purchase factors: the formula, and what it is not fooled by."""

from __future__ import annotations

import numpy as np
import pytest
from made_purchases import ITEMS, at_random, bought, item_ids, together
from made_store import random_vectors

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import ItemLists, leave_last_out, starts_of
from vlm4rec_edge.learning import factors as factors_module
from vlm4rec_edge.learning.factors import Factors, FactorSettings, learn_factors
from vlm4rec_edge.mixture import predicted_factors

CONTENT = random_vectors(ITEMS)


def lists(*histories: list[int]) -> ItemLists:
    return ItemLists(
        starts_of(np.array([len(items) for items in histories])), np.concatenate(histories).astype(np.int32)
    )


def learned(purchases: ItemLists, content: np.ndarray = CONTENT, **settings: float) -> Factors:
    return learn_factors(purchases, lambda rows: content[rows], len(content), FactorSettings(**settings))  # type: ignore[arg-type]


def by_the_formula(
    purchases: ItemLists, content: np.ndarray, settings: FactorSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the items bought and the projection, with every matrix written out."""
    bought = np.unique(purchases.items)
    place = {int(item): number for number, item in enumerate(bought)}
    pairs = np.zeros((len(bought), len(bought)))
    for user in range(len(purchases)):
        for one in purchases[user]:
            for other in purchases[user]:
                if one != other:
                    pairs[place[int(one)], place[int(other)]] += 1 / (len(purchases[user]) - 1)
    sums = pairs.sum(axis=1)
    scale = np.where(sums > 0, 1 / np.sqrt(np.maximum(sums, 1e-12)), 0)
    pairs = scale[:, None] * pairs * scale
    own = content[bought].astype(np.float64)
    alike = own @ own.T + settings.itself * np.eye(len(bought))
    smooth = alike @ np.linalg.inv(alike + settings.smoothing * np.eye(len(bought)))
    values, axes = np.linalg.eigh(smooth @ pairs @ smooth)
    best = np.argsort(-values)[: settings.count]
    best = best[values[best] > 1e-5]
    values, axes = values[best], axes[:, best]
    factors = axes * np.sqrt(values)
    whole = (settings.itself + settings.smoothing) * np.eye(len(bought))
    projection = own.T @ np.linalg.inv(own @ own.T + whole) @ pairs @ smooth @ axes / np.sqrt(values)
    return factors / np.linalg.norm(factors, axis=1, keepdims=True), projection


def test_factors_and_projection_are_those_of_the_formula() -> None:
    purchases = leave_last_out(together(60), item_ids()).with_tests()
    settings = FactorSettings(count=12, smoothing=0.7, itself=0.4)
    found = learn_factors(purchases, lambda rows: CONTENT[rows], ITEMS, settings)
    factors, projection = by_the_formula(purchases, CONTENT, settings)
    # An axis may point either way, and axes of nearly equal values may mix; what counts is the cosine of any two items.
    assert found.vectors @ found.vectors.T == pytest.approx(factors @ factors.T, abs=0.01)
    guessed, expected = predicted_factors(CONTENT, found.projection, 1.0), CONTENT @ projection
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert guessed @ guessed.T == pytest.approx(expected @ expected.T, abs=0.02)
    ours = np.sum(predicted_factors(CONTENT[found.bought], found.projection, 1.0) * found.vectors, axis=1)
    assert found.trust == pytest.approx(float(ours.mean()), abs=1e-4)


def test_items_bought_together_are_nearer_than_others() -> None:
    found = learned(leave_last_out(together(), item_ids()).with_tests())
    group_of = np.empty(ITEMS, int)
    group_of[np.random.default_rng(7).permutation(ITEMS)] = np.repeat(np.arange(24), 10)
    groups = group_of[found.bought]
    likeness = found.vectors @ found.vectors.T
    same = groups[:, None] == groups
    np.fill_diagonal(same, False)
    others = groups[:, None] != groups
    assert likeness[same].mean() > likeness[others].mean() + 0.5


def test_an_item_nobody_bought_has_the_factors_its_words_predict_and_is_trusted_as_far_as_words_tell() -> None:
    content = CONTENT.copy()
    content[200] = content[0]  # reads as item 0 does
    found = learned(lists(*[[0, 1, 2], [0, 1], [1, 2], [3, 4, 5], [3, 5], [6, 7]]), content)
    (twin,) = found.of(content[[200]], np.array([200]))
    assert np.linalg.norm(twin) == pytest.approx(found.trust, abs=1e-5)
    near = found.of(content[:8], np.arange(8)) @ twin
    assert near[[0, 1, 2]].min() > near[3:].max()


def test_a_history_of_hundreds_of_items_does_not_swamp_the_others() -> None:
    plain = learned(leave_last_out(together(), item_ids()).with_tests())
    lists_of = leave_last_out(together(), item_ids()).with_tests()
    reseller = np.arange(ITEMS, dtype=np.int32)
    swamped = learned(
        ItemLists(np.append(lists_of.starts, lists_of.starts[-1] + ITEMS), np.concatenate([lists_of.items, reseller]))
    )
    kept = np.isin(swamped.bought, plain.bought)
    one, other = plain.vectors @ plain.vectors.T, swamped.vectors[kept] @ swamped.vectors[kept].T
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


def test_two_runs_learn_the_same() -> None:
    purchases = leave_last_out(at_random(), item_ids()).with_tests()
    assert np.array_equal(learned(purchases).vectors, learned(purchases).vectors)


def test_histories_of_single_items_are_too_little_and_say_so() -> None:
    with pytest.raises(UsageError, match="two of them in one history"):
        learned(lists([0], [1], [2], [3]))


def test_more_factors_than_the_purchases_have_are_left_out() -> None:
    found = learned(lists([0, 1, 2], [1, 2, 3]))
    assert 0 < found.vectors.shape[1] <= 3
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_of_very_many_items_those_bought_most_have_factors_and_the_others_what_their_words_predict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    purchases = leave_last_out(together(), item_ids()).with_tests()
    whole = learned(purchases)
    monkeypatch.setattr(factors_module, "MOST_ITEMS", 50)
    found = learned(purchases)
    assert found.buyers.tolist() == whole.buyers.tolist()
    assert len(found.bought) == 50
    assert found.buyers[found.bought].min() >= np.delete(found.buyers, found.bought).max()
    everything = np.arange(ITEMS)
    others = np.delete(everything, found.bought)
    expected = predicted_factors(CONTENT[others], found.projection, found.trust)
    assert found.of(CONTENT, everything)[others] == pytest.approx(expected, abs=1e-6)  # float32, in other blocks


def test_the_same_purchases_give_the_same_factors_also_where_the_solver_has_to_start_again() -> None:
    # Pairs bought by themselves, of items that read like nothing else: only a few different eigenvalues.
    pairs = leave_last_out(bought([[2 * pair, 2 * pair + 1] for pair in range(ITEMS // 2)]), item_ids()).with_tests()
    content = np.eye(ITEMS, dtype=np.float32)
    one, other = (learn_factors(pairs, lambda rows: content[rows], ITEMS) for _ in range(2))
    assert np.array_equal(one.vectors, other.vectors)
