"""Rows of the benchmark about purchases: every way has the same chances, and no half of the users chooses its own weights."""

from __future__ import annotations

import numpy as np
import pytest
from learning import Row, rivals
from recommending.purchases import Learners, halves, learners

from vlm4rec_edge.evaluation.split import Split, leave_last_out
from vlm4rec_edge.interactions import Interactions

_ITEMS, _USERS = 40, 60


@pytest.fixture(scope="module")
def known_and_split() -> tuple[Learners, Split]:
    pytest.importorskip("scipy")
    random = np.random.default_rng(0)
    group = np.repeat(random.integers(0, 4, _USERS), 5)  # who buys of a group buys of it only
    item = (group * 10 + np.concatenate([random.permutation(10)[:5] for _ in range(_USERS)])).astype(np.int32)
    user = np.repeat(np.arange(_USERS, dtype=np.int32), 5)
    ids = tuple(f"{number:02}" for number in range(_ITEMS))
    every = np.ones(len(item))
    interactions = Interactions(tuple(map(str, range(_USERS))), ids, user, item, np.tile(np.arange(5.0), _USERS), every)
    split = leave_last_out(interactions, ids)
    content = random.standard_normal((_ITEMS, 16)).astype(np.float32)
    return learners(split.training, content / np.linalg.norm(content, axis=1, keepdims=True), rivals=True), split


@pytest.fixture(scope="module")
def rows(known_and_split: tuple[Learners, Split]) -> dict[str, Row]:
    return {row.name: row for row in rivals(*known_and_split, seed=0)}


def test_every_way_has_a_row_alone_and_one_with_content_and_popularity(rows: dict[str, Row]) -> None:
    ways = ("learned", "item-kNN", "EASE", "SVD, ridge from content")
    assert set(rows) == {
        "content",
        "popularity",
        "content and popularity",
        *(f"{way}, {how}" for way in ways for how in ("alone", "content and popularity")),
    }


def test_all_users_are_those_of_both_halves_and_figures_are_of_the_second(rows: dict[str, Row]) -> None:
    first, second = halves(_USERS, 0)
    for row in rows.values():
        assert len(row.all_recalls) == len(first) + len(second) == _USERS
        assert row.all_recalls[len(first) :].tolist() == row.found.recalls.tolist()


def test_the_weights_for_a_half_are_those_that_serve_the_other_best(
    known_and_split: tuple[Learners, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, split = known_and_split
    asked: list[tuple[str, ...]] = []
    from recommending.purchases import Scores

    best = Scores.best
    monkeypatch.setattr(Scores, "best", lambda self, grid: asked.append(self.split.users) or best(self, grid))
    rivals(known, split, seed=0)
    first, second = (split.of(half).users for half in halves(len(split), 0))
    # Weights are chosen for the first half, on the second, and then the other way round.
    assert asked == [second, first] * (1 + len(known.ways))


def test_what_is_bought_together_is_found_by_all_that_learn_from_it(rows: dict[str, Row]) -> None:
    for way in ("learned", "item-kNN", "EASE", "SVD, ridge from content"):
        assert rows[f"{way}, content and popularity"].all_recalls.mean() > rows["content"].all_recalls.mean() + 0.3
