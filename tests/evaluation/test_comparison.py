"""Systems are compared on the same users, with the first as the baseline; a whole system's figure has no interval."""

from __future__ import annotations

import numpy as np
import pytest
from made_interactions import interactions_of
from made_store import unit

from vlm4rec_edge import evaluation
from vlm4rec_edge.evaluation import Split, SystemFigures, chronological_split

TASTES, ITEMS_OF_EACH = 10, 12
IDS = [f"item-{number}" for number in range(TASTES * ITEMS_OF_EACH)]


@pytest.fixture(scope="module")
def shop() -> tuple[Split, np.ndarray]:
    """Users who each like one of ten kinds of items, and vectors in which the kinds lie apart."""
    generator = np.random.default_rng(1)
    rows = []
    for user in range(200):
        kind = user % TASTES
        liked = kind * ITEMS_OF_EACH + generator.permutation(ITEMS_OF_EACH)[:6]
        rows += [(f"user-{user}", IDS[item], date) for date, item in enumerate(liked.tolist())]
    centres = np.repeat(np.eye(TASTES), ITEMS_OF_EACH, axis=0)
    return chronological_split(interactions_of(rows), IDS), unit(centres + 0.1 * generator.normal(size=centres.shape))


@pytest.fixture(scope="module")
def evaluations(shop: tuple[Split, np.ndarray]) -> list[SystemFigures]:
    """Vectors that know the tastes, popularity and chance."""
    split, vectors = shop
    systems = {
        "vectors": evaluation.profile_scorer(split, vectors),
        "popularity": evaluation.popularity_scorer(split),
        "random": evaluation.random_scorer(split),
    }
    return evaluation.compare_systems(systems, split, resamples=500)


def test_who_knows_the_tastes_is_better_than_popularity_and_chance(evaluations: list[SystemFigures]) -> None:
    vectors, *others = evaluations
    assert vectors.figures["recall@10"].mean == 1, "7 of a kind are left, the test among them"
    for other in others:
        for metric in ("recall@10", "ndcg@10", "hit_rate@10", "mrr"):
            assert other.differences[metric].high < 0, (other.system, metric)
            assert other.differences[metric].p_value < 0.01
    assert vectors.figures["coverage@10"].mean > others[0].figures["coverage@10"].mean
    assert others[0].figures["novelty@10"].mean < others[1].figures["novelty@10"].mean


def test_chance_is_as_good_as_chance_is(evaluations: list[SystemFigures]) -> None:
    figure = evaluations[2].figures["recall@10"]
    assert figure.low < 10 / (len(IDS) - 5) < figure.high


def test_only_others_differ_from_the_first_and_only_user_metrics_have_intervals(
    evaluations: list[SystemFigures],
) -> None:
    first, second, _ = evaluations
    assert first.differences == {}
    assert set(second.differences) == set(second.figures) - {"coverage@10"}
    for each in evaluations:
        assert each.figures["coverage@10"].low == each.figures["coverage@10"].high
        for metric, figure in each.figures.items():
            assert figure.mean == pytest.approx(each.values[metric].mean())
            assert figure.low <= figure.mean <= figure.high


def test_the_same_seed_gives_the_same_figures_and_progress_counts_all_systems(shop: tuple[Split, np.ndarray]) -> None:
    split, vectors = shop
    systems = {"vectors": evaluation.profile_scorer(split, vectors), "random": evaluation.random_scorer(split, 4)}
    told: list[int] = []
    first = evaluation.compare_systems(systems, split, metrics=["mrr"], resamples=50, seed=4, on_progress=told.append)
    again = evaluation.compare_systems(systems, split, metrics=["mrr"], resamples=50, seed=4)
    assert [each.figures for each in first] == [each.figures for each in again]
    assert told == sorted(told)
    assert told[-1] == 2 * len(split)
