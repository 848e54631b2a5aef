"""Metrics have the values that their formulas give by hand, and those of an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_interactions import interactions_of, random_rows
from made_store import random_vectors

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation import (
    Metric,
    Split,
    chronological_split,
    measure,
    parse_metric,
    popularity_scorer,
    profile_scorer,
    randomisation_p_value,
    rank,
)

IDS = [f"item-{number}" for number in range(10)]


def one_user(scores: list[float]) -> tuple[Split, object]:
    """A user who took items 0 to 9 in order (test: 8 and 9), and a system with these scores for every item."""
    rows = [("ann", IDS[number], number) for number in range(10)]
    rows += [("bob", IDS[0], 1), ("eve", IDS[0], 1), ("eve", IDS[9], 1)]
    split = chronological_split(interactions_of(rows), [*IDS, "new-1", "new-2", "new-3"])
    return split, rank(lambda users: np.tile(np.array(scores, np.float32), (len(users), 1)), split, depth=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recall@1", 0),
        ("recall@2", 1 / 2),
        ("recall@3", 1 / 2),
        ("hit_rate@1", 0),
        ("hit_rate@2", 1),
        ("ndcg@1", 0),
        ("ndcg@2", (1 / math.log2(3)) / (1 + 1 / math.log2(3))),
        ("mrr", 1 / 2),
        ("mrr@1", 0),
        ("coverage@2", 2 / 13),
        # new-1 is known to none of 3 users, item-9 to one (ann's is held back): -log2(1/4) and -log2(2/4).
        ("novelty@2", (2 + 1) / 2),
    ],
)
def test_by_hand(name: str, value: float) -> None:
    # new-1, item-9, new-2, item-8, new-3; the history scores highest and must not count
    split, ranking = one_user([9, 9, 9, 9, 9, 9, 9, 9, 2, 4, 5, 3, 1])
    assert measure(parse_metric(name), ranking, split).tolist() == pytest.approx([value])


def test_the_best_order_scores_one() -> None:
    split, ranking = one_user([0, 0, 0, 0, 0, 0, 0, 0, 5, 4, 3, 2, 1])
    for name in ("recall@2", "recall@3", "hit_rate@1", "ndcg@1", "ndcg@2", "ndcg@3", "mrr", "mrr@3"):
        assert measure(parse_metric(name), ranking, split).tolist() == [1.0], name


def test_who_gets_nothing_scores_nothing() -> None:
    split, ranking = one_user([-math.inf] * 13)
    for name in ("recall@3", "hit_rate@3", "ndcg@3", "mrr", "coverage@3", "novelty@3"):
        assert measure(parse_metric(name), ranking, split).tolist() == [0.0], name


def test_names_are_parsed_and_written_back() -> None:
    assert parse_metric("NDCG@20") == Metric("ndcg", 20)
    assert [parse_metric(name).name for name in ("mrr", "recall@5")] == ["mrr", "recall@5"]


@pytest.mark.parametrize("name", ["recall", "recall@0", "recall@", "f1@10", "", "ndcg@ten", "coverage"])
def test_an_unknown_metric_is_refused_with_the_list_of_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="the metrics are recall@10, ndcg@10"):
        parse_metric(name)


def test_a_ranking_that_is_too_short_is_refused() -> None:
    split, ranking = one_user([1.0] * 13)
    with pytest.raises(ValueError, match="needs a ranking of depth 4"):
        measure(parse_metric("recall@4"), ranking, split)


@pytest.fixture(scope="module")
def compared() -> tuple[Split, dict[str, object]]:
    """Two systems over 200 users and 300 items."""
    ids = [f"item-{number}" for number in range(300)]
    split = chronological_split(interactions_of(random_rows(users=200, items=300, rows=4000, seed=9)), ids)
    scorers = {"vectors": profile_scorer(split, random_vectors(300, 8)), "popularity": popularity_scorer(split)}
    return split, {name: rank(scorer, split, depth=300) for name, scorer in scorers.items()}


def ranx_of(split: Split, rankings: dict[str, object], metrics: list[str]) -> tuple[object, dict[str, object]]:
    ranx = pytest.importorskip("ranx", reason='ranx is not installed: pip install -e ".[oracle]"')
    qrels = ranx.Qrels({f"u{user}": {str(item): 1 for item in split.test[user]} for user in range(len(split))})
    runs = {}
    for name, ranking in rankings.items():
        # ranx orders by score, so the place in our list is made its score.
        lists = {f"u{user}": [item for item in own if item >= 0] for user, own in enumerate(ranking.top.tolist())}
        runs[name] = ranx.Run(
            {user: {str(item): 1.0 - place / 1000 for place, item in enumerate(own)} for user, own in lists.items()}
        )
        ranx.evaluate(qrels, runs[name], metrics)
    return ranx, runs


def test_metrics_are_those_of_ranx(compared: tuple[Split, dict[str, object]]) -> None:
    split, rankings = compared
    metrics = [f"{kind}@{cutoff}" for kind in ("recall", "ndcg", "hit_rate", "mrr") for cutoff in (1, 5, 10, 50)] + [
        "mrr"
    ]
    _, runs = ranx_of(split, rankings, metrics)
    for name, ranking in rankings.items():
        for metric in metrics:
            theirs = [runs[name].scores[metric][f"u{user}"] for user in range(len(split))]
            assert measure(parse_metric(metric), ranking, split) == pytest.approx(np.array(theirs)), (name, metric)


def test_the_randomisation_test_is_that_of_ranx(compared: tuple[Split, dict[str, object]]) -> None:
    """Both draw at random, so they agree to about the second decimal."""
    split, rankings = compared
    metrics = ["ndcg@10", "ndcg@50", "mrr"]
    ranx, _ = ranx_of(split, rankings, metrics)
    from ranx.statistical_tests import fisher_randomization_test

    assert ranx is not None
    for metric in metrics:
        ours, baseline = (measure(parse_metric(metric), ranking, split) for ranking in rankings.values())
        theirs, _ = fisher_randomization_test(ours, baseline, 10_000, random_seed=1)
        assert randomisation_p_value(ours - baseline, resamples=10_000) == pytest.approx(theirs, abs=0.02), metric
