"""Many users at once get what each would get alone, by the scan and by the graph, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from made_shop import made_items, opened, write_made_shop

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend import many
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.many import Answer
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection

IDS = [name for name, _ in made_items()[1]]

WAYS = {
    "plain": (ProfileSettings(), Selection()),
    "filter": (ProfileSettings(), Selection(where="price < 40 and audience is not missing")),
    "nothing admitted": (ProfileSettings(), Selection(where="price > 1000")),
    "one per": (ProfileSettings(), Selection(one_per="id:4")),
    "diverse": (ProfileSettings(), Selection(diversity=0.4)),
    "allowed": (ProfileSettings(), Selection(allow=IDS[:20], deny=IDS[:3])),
    "with history": (ProfileSettings(), Selection(exclude_history=False, min_score=0.2)),
    "interests": (ProfileSettings(interests=3), Selection()),
    "best of interests": (ProfileSettings(interests=3, merge="best"), Selection(one_per="colour name")),
    "recent": (ProfileSettings(half_life=3, last=4), Selection()),
}


@pytest.fixture(scope="module", params=["exact", "hnsw"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """The made shop, opened each way."""
    with opened(write_made_shop(tmp_path_factory.mktemp("made") / "store"), request.param) as found:
        yield found


@pytest.fixture(scope="module")
def users() -> list[History]:
    """Histories of 1 to 40 items, some taken twice, some unknown, some with times.

    The weights are uneven, because the mean of two items lies exactly between them: the twins of both would have equal
    scores but for rounding, and could come in either order.
    """
    chance = np.random.default_rng(8)
    made = []
    for number in range(120):
        items = [IDS[place] for place in chance.integers(0, len(IDS), chance.integers(1, 41 if number % 9 == 0 else 9))]
        if number % 5 == 0:
            items.append("no such item")
        weights = chance.uniform(1, 5, len(items)).tolist()
        times = chance.integers(0, 30, len(items)).tolist() if number % 4 == 0 else None
        made.append(History(f"user-{number}", items, weights, times))
    return made


def _alone(shop: Recommender, user: History, k: int, settings: ProfileSettings, selection: Selection) -> list[object]:
    return [
        (hit.item_id, pytest.approx(hit.score, abs=1e-5))
        for hit in shop.recommend(
            user.items,
            k,
            skip_unknown=True,
            weights=user.weights,
            times=user.times,
            settings=settings,
            selection=selection,
        )
    ]


@pytest.mark.parametrize("way", WAYS)
def test_the_answers_are_those_of_recommend(shop: Recommender, users: list[History], way: str) -> None:
    settings, selection = WAYS[way]
    answers = list(shop.recommend_many(users, 7, settings=settings, selection=selection))
    assert [answer.user for answer in answers] == [user.user for user in users]
    for user, answer in zip(users, answers, strict=True):
        found = list(zip(answer.items, answer.scores, strict=True))
        assert found == _alone(shop, user, 7, settings, selection), user
        assert list(answer.unknown) == [item for item in user.items if item == "no such item"]
        assert answer.reason == ""


def test_the_scores_of_plain_means_are_those_of_recommend(shop: Recommender, users: list[History]) -> None:
    plain = [History(user.user, user.items) for user in users]
    for user, answer in zip(plain, shop.recommend_many(plain, 7), strict=True):
        alone = shop.recommend(user.items, 7, skip_unknown=True)
        assert list(answer.scores) == pytest.approx([hit.score for hit in alone], abs=1e-5)
        assert not set(answer.items) & set(user.items)


@pytest.mark.parametrize("score_bytes", [1, 20_000])
def test_the_size_of_a_block_changes_nothing_and_bounds_what_is_read_ahead(
    shop: Recommender, users: list[History], monkeypatch: pytest.MonkeyPatch, score_bytes: int
) -> None:
    expected = [answer.items for answer in shop.recommend_many(users)]
    monkeypatch.setattr(many, "_SCORE_BYTES", score_bytes)
    monkeypatch.setattr(many, "_MOST_USERS", 13)
    monkeypatch.setattr(many, "_CHUNK_ROWS", 17)
    read = 0

    def counted() -> Iterator[History]:
        nonlocal read
        for user in users:
            read += 1
            yield user

    for number, answer in enumerate(shop.recommend_many(counted()), start=1):
        assert answer.items == expected[number - 1]
        assert read <= number + 12


def test_who_cannot_be_answered_is_told_why_and_the_others_are_answered(shop: Recommender) -> None:
    users = [
        History("empty", []),
        History("unknown", ["x", "y", "x"]),
        History("weightless", IDS[:2], weights=[0, 0]),
        History("fine", IDS[:2]),
    ]
    empty, unknown, weightless, fine = shop.recommend_many(users, 3)
    assert empty == Answer("empty", [], [], unknown=[], reason="The history is empty.")
    assert unknown == Answer("unknown", [], [], unknown=["x", "y"], reason="The index holds no item of the history.")
    assert "weight 0" in weightless.reason
    assert len(fine.items) == 3


def test_a_column_that_tells_no_popularity_is_said_before_the_first_answer(shop: Recommender) -> None:
    with pytest.raises(UsageError, match="no column 'slod'"):
        shop.recommend_many([], 4, popularity="slod")


def test_popularity_answers_where_nothing_is_known(shop: Recommender) -> None:
    users = [History("empty", []), History("unknown", ["x"]), History("known", IDS[:1])]
    empty, unknown, known = shop.recommend_many(users, 4, popularity="sold")
    popular = shop.recommend([], 4, popularity="sold")
    assert list(empty.items) == list(unknown.items) == [hit.item_id for hit in popular]
    assert list(empty.scores) == [hit.score for hit in popular]
    assert (empty.basis, unknown.basis, known.basis) == ("popularity", "popularity", "history")


def test_settings_that_cannot_be_meant_are_refused_at_once(shop: Recommender) -> None:
    with pytest.raises(UsageError, match="k is 0"):
        shop.recommend_many([], 0)
    with pytest.raises(UsageError, match="filter cannot be read"):
        list(shop.recommend_many([History("a", IDS[:1])], selection=Selection(where="price <")))
