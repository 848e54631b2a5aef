"""An id is the text it stands for wherever one is given, and what is given is read once."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import random_vectors, write_store

from vlm4rec_edge import History, Recommender, Selection
from vlm4rec_edge.errors import UnknownItemError, UsageError, Vlm4RecWarning
from vlm4rec_edge.recommend.ids import KnownIds

# How the ids 3, 5 and 8 may be given.
WAYS: dict[str, Callable[[], Any]] = {
    "texts": lambda: ["3", "5", "8"],
    "numbers": lambda: [3, 5, 8],
    "an array": lambda: np.array([3, 5, 8], np.int32),
    "an array of texts": lambda: np.array(["3", "5", "8"]),
    "a generator": lambda: (number for number in (3, "5", np.int64(8))),
    "a tuple": lambda: ("3", 5, np.uint8(8)),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """Items whose ids are numbers."""
    folder = write_store(
        tmp_path_factory.mktemp("ids") / "store", random_vectors(60), [(str(row), row) for row in range(60)]
    )
    with Recommender.open(folder) as opened:
        yield opened


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_give_ids_gives_the_same_answers(shop: Recommender, way: str) -> None:
    given, texts = WAYS[way], ["3", "5", "8"]
    assert shop.recommend(given()) == shop.recommend(texts)
    assert shop.recommend(["1"], disliked=given()) == shop.recommend(["1"], disliked=texts)
    for name in ("allow", "deny"):
        selection, expected = Selection(**{name: given()}), Selection(**{name: texts})
        assert selection == expected
        for _ in range(2):  # a generator would be empty the second time
            assert shop.similar("1", 60, selection=selection) == shop.similar("1", 60, selection=expected)
    (answer,) = shop.recommend_many([History("ann", given())])
    assert answer.items == [hit.item_id for hit in shop.recommend(texts)]
    np.testing.assert_array_equal(shop.vectors(given()), shop.vectors(texts))
    assert shop.unknown(given()) == []
    assert shop.profile(given(), times=iter([1, 2, 3]), half_life=2).to_json() == (
        shop.profile(texts, times=[1, 2, 3], half_life=2).to_json()
    )


def test_one_item_may_be_a_number_too(shop: Recommender) -> None:
    assert shop.similar(7) == shop.similar(np.int16(7)) == shop.similar("7")
    assert shop.similar(7).query == {"item": "7"}


def test_weights_and_times_are_read_once_too(shop: Recommender) -> None:
    once = shop.recommend([3, 5], weights=(number for number in (1, 2)), times=np.array([1.0, 2.0]))
    assert once == shop.recommend([3, 5], weights=[1, 2], times=[1, 2])


@pytest.mark.parametrize("wrong", [[5.0], [None], [True], [b"5"], ["3", ["5"]]], ids=repr)
def test_what_is_no_id_is_a_sentence(shop: Recommender, wrong: list[Any]) -> None:
    calls: list[Callable[[Iterable[Any]], object]] = [
        shop.recommend,
        shop.unknown,
        shop.vectors,
        shop.profile,
        lambda ids: shop.recommend(["1"], disliked=ids),
        lambda ids: Selection(allow=ids),
        lambda ids: Selection(deny=ids),
        lambda ids: History("ann", ids),
        lambda ids: shop.similar(ids[-1]),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="is not an item id; give ids as texts or whole numbers"):
            call(wrong)


@pytest.mark.parametrize("wrong", ["35", 35, None], ids=repr)
def test_what_is_no_list_of_ids_is_a_sentence(shop: Recommender, wrong: Any) -> None:
    with pytest.raises(UsageError, match="The items of a history are a list of ids, not"):
        shop.recommend(wrong)
    with pytest.raises(UsageError, match="Disliked items are a list of ids, not"):
        shop.recommend(["1"], disliked=wrong)


@pytest.mark.parametrize("k", ["five", 2.0, None])
def test_another_count_than_a_whole_number_is_a_sentence(shop: Recommender, k: Any) -> None:
    with pytest.raises(UsageError, match=f"k is {k}; ask for at least 1 item, a whole number"):
        shop.similar("1", k)
    assert len(shop.similar("1", np.int64(3))) == 3


def test_a_selection_names_what_the_index_does_not_hold(shop: Recommender) -> None:
    selection = Selection(allow=[3, "nobody", 5], deny=["none"], where="id != 'never'")
    with pytest.warns(Vlm4RecWarning) as told:
        found = shop.similar(1, selection=selection)
    assert [hit.item_id for hit in found] in (["3", "5"], ["5", "3"])
    assert found.unknown == ["nobody", "none", "never"] == shop.unknown_in(selection)
    said = [str(warning.message) for warning in told]
    assert [
        f"holds no item '{name}', which is {how}" in text
        for text, name, how in zip(
            said, ("nobody", "none", "never"), ("allowed", "denied", "compared in the filter"), strict=True
        )
    ] == [True] * 3
    with pytest.raises(UnknownItemError, match="holds no item 'nobody'"):
        shop.similar(1, selection=Selection(allow=["nobody"]))
    assert shop.similar(1, selection=Selection(allow=[])) == []


@given(st.text(alphabet="aäöüéÅ한가ñ 1", min_size=1, max_size=8))
def test_an_id_in_any_form_of_unicode_is_the_same_item(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]

    class Held:
        folder = Path("made")

        def __init__(self, held: str) -> None:
            self.held = held

        def ids(self) -> Iterator[str]:
            return iter([self.held])

        def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
            return {item: 0 for item in item_ids if item == self.held}

    for held in (text, *forms):
        for asked in (text, *forms):
            found = KnownIds(Held(held)).look_up([asked])
            assert (found.ids, dict(found.rows), found.unknown) == ([held], {held: 0}, [])


def test_an_answer_knows_what_was_asked(shop: Recommender) -> None:
    found = shop.recommend([3, "nobody"], 2, disliked=[5, "none"], skip_unknown=True)
    assert (found.query, found.unknown) == ({"history": ["3", "nobody"], "disliked": ["5", "none"]}, ["nobody", "none"])
    assert (found.folder, found.method, found.answered_by) == (str(shop.store.folder), "exact", "history")
    nothing = shop.similar("1", selection=Selection(allow=[]))
    assert (nothing, nothing.answered_by) == ([], None)
