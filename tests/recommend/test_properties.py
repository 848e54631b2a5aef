"""Whatever is asked, what must always hold holds: by the scan and by the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from made_shop import COLOURS, ByHand, made_items, opened, write_made_shop

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.result import Recommendation
from vlm4rec_edge.recommend.running import Profile
from vlm4rec_edge.recommend.selection import Selection

BY_HAND = ByHand()
IDS = [name for name, _ in made_items()[1]]
CLOSE = 1e-5

FILTERS = {
    "price < 40": lambda cells: _number(cells) < 40,
    "price >= 75 and audience = 'Kids'": lambda cells: _number(cells) >= 75 and cells["audience"] == "Kids",
    "audience is missing": lambda cells: not cells["audience"],
    "not (price > 10 or \"colour name\" like '%BLUE')": lambda cells: (
        not (_number(cells) > 10 or cells["colour name"].endswith("blue"))
    ),
    "\"colour name\" = 'it''s green' and audience in ('Menswear', 'Kids')": lambda cells: (
        cells["colour name"] == COLOURS[2] and cells["audience"] in ("Menswear", "Kids")
    ),
    "price > 1000": lambda _: False,
}

examples = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def _number(cells: dict[str, str]) -> float:
    return float(cells["price"]) if cells.get("price", "").isdigit() else float("nan")


@pytest.fixture(scope="module", params=["exact", "hnsw", "hnsw, filtered through the graph"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """The made shop, opened each way. In so small a shop a filter's rest is always scanned, unless that is made dear."""
    method, _, through_graph = request.param.partition(", ")
    with (
        opened(write_made_shop(tmp_path_factory.mktemp("made") / "store"), method) as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        if through_graph:
            patch.setattr("vlm4rec_edge.recommend.candidates._SCANNED_PER_ROW", 0)
        yield found


some_ids = st.lists(st.sampled_from(IDS), max_size=12)
histories = st.lists(st.sampled_from(IDS), min_size=1, max_size=12)
counts = st.integers(1, 150)
profiles = st.builds(
    ProfileSettings,
    last=st.none() | st.integers(1, 8),
    half_life=st.none() | st.floats(0.5, 100),
    interests=st.integers(1, 4),
    merge=st.sampled_from(["quota", "best"]),
    dislike_weight=st.floats(0, 0.6),
)
selections = st.builds(
    Selection,
    where=st.none() | st.sampled_from(sorted(FILTERS)),
    # A list of which nothing is known is an error, not an answer.
    allow=st.none()
    | st.lists(st.sampled_from([*IDS, "unknown"]), max_size=60).filter(lambda ids: set(ids) != {"unknown"}),
    deny=some_ids,
    one_per=st.none() | st.sampled_from(["id:4", "colour name", "audience", "price"]),
    diversity=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    min_score=st.sampled_from([-1.0, 0.0, 0.4]),
    exclude_history=st.booleans(),
)


def _group(name: str, one_per: str) -> str:
    if one_per == "id:4":
        return name[:4]
    return BY_HAND.attributes[name].get(one_per) or f"none, so {name} alone"


def _ask(shop: Recommender, history: list[str], k: int, **options: object) -> list[Recommendation]:
    try:
        return shop.recommend(history, k, **options)  # type: ignore[arg-type]
    except UsageError as error:
        assume("cancel each other out" not in str(error))
        raise


@examples
@given(histories, counts, some_ids, profiles, selections)
def test_every_answer_keeps_to_what_was_asked(
    shop: Recommender, history: list[str], k: int, disliked: list[str], profile: ProfileSettings, selection: Selection
) -> None:
    found = _ask(shop, history, k, disliked=disliked, settings=profile, selection=selection, explain=True)
    ids = [hit.item_id for hit in found]
    assert len(ids) == len(set(ids)) <= k
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    assert not set(ids) & {*disliked, *selection.deny}
    if selection.exclude_history:
        assert not set(ids) & set(history)
    if selection.allow is not None:
        assert set(ids) <= set(selection.allow)
    if selection.where is not None:
        assert all(FILTERS[selection.where](BY_HAND.attributes[name]) for name in ids)
    if selection.one_per is not None:
        groups = [_group(name, selection.one_per) for name in ids]
        assert len(groups) == len(set(groups))
    scores = [hit.score for hit in found]
    assert all(score >= selection.min_score - CLOSE for score in scores)
    if selection.diversity == 0:
        assert scores == sorted(scores, reverse=True)
    for hit in found:
        assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=CLOSE)
        assert {reason.source for reason in hit.because} <= {*history, *disliked}


@examples
@given(histories, counts, selections)
def test_the_answer_is_that_of_a_look_at_every_item(
    shop: Recommender, history: list[str], k: int, selection: Selection
) -> None:
    """However few items a filter leaves, they are the right ones, and as many as there are."""
    assume(selection.diversity == 0)
    profile = np.mean([BY_HAND.vectors[name] for name in history], axis=0)
    profile /= np.linalg.norm(profile)
    scores = BY_HAND.scores(
        profile,
        lambda name, cells: (
            name not in selection.deny
            and not (selection.exclude_history and name in history)
            and (selection.allow is None or name in selection.allow)
            and (selection.where is None or FILTERS[selection.where](cells))
        ),
    )
    best: dict[str, float] = {}
    for name, score in scores.items():
        group = name if selection.one_per is None else _group(name, selection.one_per)
        best[group] = max(score, best.get(group, -2.0))
    expected = sorted((score for score in best.values() if score >= selection.min_score), reverse=True)[:k]
    found = _ask(shop, history, k, selection=selection)
    assert [hit.score for hit in found] == pytest.approx(expected, abs=CLOSE)
    assert all(scores[hit.item_id] == pytest.approx(hit.score, abs=CLOSE) for hit in found)


@examples
@given(histories, st.integers(1, 30), profiles)
def test_several_interests_leave_no_place_empty(
    shop: Recommender, history: list[str], k: int, profile: ProfileSettings
) -> None:
    found = _ask(shop, history, k, settings=profile)
    assert len(found) == min(k, len(IDS) - len(set(history)))


events = st.lists(
    st.tuples(st.sampled_from(IDS), st.floats(0.01, 10), st.floats(-50, 50), st.booleans()), min_size=1, max_size=10
)


def _grown(shop: Recommender, parts: list[tuple[str, float, float, bool]], half_life: float | None) -> Profile:
    profile = shop.profile(half_life=half_life)
    for name, weight, time, disliked in parts:
        (vector,) = shop.vectors([name])
        profile = profile.add(vector, weight=1.0 if disliked else weight, time=time, disliked=disliked)
    return profile


def _vector(profile: Profile) -> np.ndarray:
    try:
        return profile.vector()
    except UsageError:
        assume(False)
        raise


@examples
@given(events, st.none() | st.floats(1, 100))
def test_a_profile_grown_event_by_event_is_that_of_the_whole_history(
    shop: Recommender, parts: list[tuple[str, float, float, bool]], half_life: float | None
) -> None:
    liked = [part for part in parts if not part[3]]
    disliked = [name for name, _, _, away in parts if away]
    assume(liked)
    grown = _grown(shop, parts, half_life)
    _vector(grown)
    whole = shop.recommend(
        [name for name, *_ in liked],
        k=20,
        weights=[weight for _, weight, _, _ in liked],
        times=[time for _, _, time, _ in liked],
        disliked=disliked,
        settings=ProfileSettings(half_life=half_life),
        selection=Selection(exclude_history=False),
    )
    by_profile = shop.recommend_profile(grown, k=20, selection=Selection(deny=disliked))
    assert [hit.score for hit in by_profile] == pytest.approx([hit.score for hit in whole], abs=CLOSE)
    at_once = shop.profile(
        [name for name, *_ in liked],
        weights=[weight for _, weight, _, _ in liked],
        times=[time for _, _, time, _ in liked],
        disliked=disliked,
        half_life=half_life,
    )
    np.testing.assert_allclose(at_once.vector(), grown.vector(), atol=CLOSE)


@examples
@given(events, events, events, st.none() | st.floats(1, 100))
def test_profiles_merge_in_any_order_to_the_same(
    shop: Recommender,
    first: list[tuple[str, float, float, bool]],
    second: list[tuple[str, float, float, bool]],
    third: list[tuple[str, float, float, bool]],
    half_life: float | None,
) -> None:
    a, b, c = (_grown(shop, parts, half_life) for parts in (first, second, third))
    left, right, turned = a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)
    for other in (right, turned, _grown(shop, [*first, *second, *third], half_life)):
        np.testing.assert_allclose(other.liked, left.liked, atol=1e-9)
        np.testing.assert_allclose(other.disliked, left.disliked, atol=1e-9)
        assert other.liked_weight == pytest.approx(left.liked_weight)
        assert (other.time, other.events) == (left.time, left.events)


@examples
@given(events, st.none() | st.floats(1, 100))
def test_a_profile_comes_back_as_it_was_written(
    shop: Recommender, parts: list[tuple[str, float, float, bool]], half_life: float | None
) -> None:
    profile = _grown(shop, parts, half_life)
    for back in (Profile.from_bytes(profile.to_bytes()), Profile.from_json(profile.to_json())):
        np.testing.assert_array_equal([back.liked, back.disliked], [profile.liked, profile.disliked])
        assert back.to_json() == profile.to_json()
