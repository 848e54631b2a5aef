"""The exact index finds what a look at every vector finds, best first."""

from __future__ import annotations

import numpy as np
import pytest
from made_store import random_vectors, unit

from vlm4rec_edge.index.exact import ExactIndex


@pytest.mark.parametrize("count", [1, 10, 500, 501, 10_000])
def test_the_best_rows_are_those_of_a_full_sort(count: int) -> None:
    vectors, query = random_vectors(500), random_vectors(1, seed=2)[0]
    rows, scores = ExactIndex(vectors).top(query, count)
    expected = np.argsort(-(vectors.astype(np.float64) @ query.astype(np.float64)), kind="stable")[:count]
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, vectors[rows] @ query, atol=1e-6)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_equal_scores_come_in_the_order_of_their_rows(count: int) -> None:
    vectors = unit([[1, 0]] * 4 + [[0, 1]] * 8)
    rows, scores = ExactIndex(vectors).top(np.array([0.0, 1.0], np.float32), count)
    assert rows.tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3][:count]
    assert scores.tolist() == ([1.0] * 8 + [0.0] * 4)[:count]


def test_the_first_few_of_many_are_the_many_cut_short() -> None:
    vectors = np.repeat(random_vectors(40, 8), 5, axis=0)
    index, query = ExactIndex(vectors), random_vectors(1, 8, seed=3)[0]
    whole = index.top(query, 200)[0].tolist()
    for count in range(1, 60):
        assert index.top(query, count)[0].tolist() == whole[:count]


def test_no_vectors_give_no_answers() -> None:
    rows, scores = ExactIndex(np.zeros((0, 4), np.float32)).top(np.ones(4, np.float32), 5)
    assert (rows.tolist(), scores.tolist()) == ([], [])
