"""A profile object stands for its history without holding it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import random_vectors, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import ProfileError, UnknownItemError, UsageError
from vlm4rec_edge.recommend.profile import mean_profile
from vlm4rec_edge.recommend.running import Profile
from vlm4rec_edge.recommend.selection import Selection

VECTORS = random_vectors(40, 16)
EMPTY = Profile.empty("an encoder", 16)


def _sample(half_life: float | None = None) -> Profile:
    profile = Profile.empty("an encoder", 16, half_life=half_life)
    for place in range(4):
        profile = profile.add(VECTORS[place], weight=1 + place, time=float(place))
    return profile.add(VECTORS[9], disliked=True)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Recommender]:
    """An index of the vectors."""
    with Recommender.open(write_store(tmp_path / "store", VECTORS)) as found:
        yield found


def test_adding_events_one_by_one_is_the_mean() -> None:
    profile = EMPTY
    for vector in VECTORS[:7]:
        profile = profile.add(vector)
    np.testing.assert_allclose(profile.vector(), mean_profile(VECTORS[:7]), atol=1e-6)
    assert (profile.events, EMPTY.events) == (7, 0)


def test_an_older_event_counts_less_even_if_it_comes_later() -> None:
    profile = Profile.empty("an encoder", 16, half_life=10)
    late = profile.add(VECTORS[0], time=20).add(VECTORS[1], time=10)
    early = profile.add(VECTORS[1], time=10).add(VECTORS[0], time=20)
    np.testing.assert_allclose(late.liked, VECTORS[0] + VECTORS[1] / 2, atol=1e-6)
    np.testing.assert_allclose(late.liked, early.liked, atol=1e-12)


def test_the_time_of_a_table_of_numbers_can_be_written() -> None:
    profile = Profile.empty("an encoder", 16, half_life=10).add(VECTORS[0], time=np.int64(20))
    assert Profile.from_json(profile.to_json()).time == 20


def test_fading_changes_no_answer_but_the_weight_of_what_comes_after() -> None:
    profile = _sample(half_life=5)
    later = profile.decayed(103)
    np.testing.assert_allclose(later.vector(), profile.vector(), atol=1e-6)
    assert later.liked_weight == pytest.approx(profile.liked_weight * 2**-20)
    assert profile.decayed(1) is profile
    assert _sample().decayed(1e9).liked_weight == _sample().liked_weight


def test_what_is_stored_does_not_grow_with_the_history() -> None:
    profile = EMPTY
    sizes = set()
    for number in range(200):
        profile = profile.add(VECTORS[number % 40])
        if number in (10, 99):
            sizes.add(len(profile.to_bytes()))
    assert max(sizes) - min(sizes) < 16, "but for the digits of its counts"


def test_a_recommender_makes_profiles_and_answers_from_them(till: Recommender) -> None:
    history = ["item-3", "item-5", "item-3"]
    profile = Profile.from_json(till.profile(history, disliked=["item-7"]).to_json())
    hidden = Selection(deny=[*history, "item-7"])
    by_profile = till.recommend_profile(profile, k=5, selection=hidden)
    by_history = till.recommend(history, k=5, disliked=["item-7"])
    assert [hit.item_id for hit in by_profile] == [hit.item_id for hit in by_history]
    assert {hit.basis for hit in by_profile} == {"vector"}


def test_a_profile_does_not_know_what_was_bought(till: Recommender) -> None:
    assert till.recommend_profile(till.profile(["item-3"]), k=1)[0].item_id == "item-3"


def test_a_profile_of_another_encoder_is_refused(till: Recommender) -> None:
    with pytest.raises(ProfileError, match="another encoder"):
        till.recommend_profile(EMPTY.add(VECTORS[0]))
    with pytest.raises(ProfileError, match="different encoders or half-lives"):
        EMPTY.merge(Profile.empty("another", 16))
    with pytest.raises(ProfileError, match="different encoders or half-lives"):
        EMPTY.merge(Profile.empty("an encoder", 16, half_life=3))


def test_an_event_that_cannot_be_added_is_refused(till: Recommender) -> None:
    fading = Profile.empty("an encoder", 16, half_life=3)
    for change, message in (
        (lambda: EMPTY.add(VECTORS[0][:4]), "has the shape"),
        (lambda: EMPTY.add(VECTORS[0], weight=-1), "weight is -1"),
        (lambda: EMPTY.add(VECTORS[0], weight=float("nan")), "weight is nan"),
        (lambda: fading.add(VECTORS[0]), "needs the time"),
        (lambda: fading.add(VECTORS[0], time=float("inf")), "needs the time"),
        (lambda: Profile.empty("an encoder", 16, half_life=0), "half-life is 0"),
        (EMPTY.vector, "at least one item"),
        (lambda: till.profile(["item-1"], weights=[]), "0 weights for 1 items"),
        (lambda: till.profile(["item-1"], half_life=2), "needs the time"),
    ):
        with pytest.raises(UsageError, match=message):
            change()
    with pytest.raises(UnknownItemError):
        till.profile(["nobody"])


@given(st.data())
def test_damaged_bytes_are_refused(data: st.DataObject) -> None:
    whole = _sample(half_life=3).to_bytes()
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    with pytest.raises(ProfileError):
        Profile.from_bytes(damaged)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("sums"),
        lambda fields: fields.update(sums="AAAA"),
        lambda fields: fields.update(sums="%"),
        lambda fields: fields.update(dimensions=17),
        lambda fields: fields.update(dimensions="many"),
        lambda fields: fields.update(time="noon"),
        lambda fields: fields.pop("encoder"),
        lambda fields: fields.update(profile_format=2),
        lambda fields: fields.update(liked_weight=None),
    ],
)
def test_json_that_is_no_profile_is_refused(change: object) -> None:
    fields = json.loads(_sample().to_json())
    change(fields)  # type: ignore[operator]
    with pytest.raises(ProfileError):
        Profile.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", "no"])
def test_text_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ProfileError):
        Profile.from_json(text)


def test_sums_that_are_no_numbers_are_refused() -> None:
    broken = replace(_sample(), liked=np.full(16, np.nan))
    for read in (lambda: Profile.from_bytes(broken.to_bytes()), lambda: Profile.from_json(broken.to_json())):
        with pytest.raises(ProfileError, match="not all numbers"):
            read()
