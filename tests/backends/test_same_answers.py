"""Every back end answers as the index does: the same ids, the same scores, for the same reasons."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_backends import ITEMS, KINDS, shipped, write_shop

from vlm4rec_edge import History, ProfileSettings, Recommendations, Recommender, Selection
from vlm4rec_edge.errors import UnknownItemError, UsageError, Vlm4RecWarning
from vlm4rec_edge.recommend.listing import ItemPage
from vlm4rec_edge.recommend.source import open_source

pytest.importorskip("lancedb", reason="lancedb is not installed")
HISTORIES = (["0001-1"], ["0002-0", "0010-2", "0031-1"], ["0005-0", "0005-1", "0005-0", "0020-2", "0044-0"])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop") / "index")


@pytest.fixture(scope="module")
def local(index: Path) -> Iterator[Recommender]:
    with Recommender.open(index) as shop:
        yield shop


@pytest.fixture(scope="module", params=KINDS)
def shop(
    index: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recommender]:
    place = shipped(index, request.param, tmp_path_factory.mktemp("shipped"))
    with Recommender.open(place) as opened:
        assert str(opened.store.folder) == str(place)
        yield opened


def words(item: Any) -> tuple[str, str, dict[str, str]]:
    """What is told of an item; where its photo lies is shortened in a bundle."""
    return item.title, item.caption, dict(item.attributes)


def same(found: Recommendations, expected: Recommendations) -> bool:
    """Whether two answers are one: ids, scores to 1e-3, all that is told of the items."""
    told = [[(hit.item_id, *words(hit)) for hit in each] for each in (found, expected)]
    scores = [np.array([hit.score for hit in each]) for each in (found, expected)]
    return told[0] == told[1] and bool(np.allclose(*scores, atol=1e-3))


def listed(page: ItemPage) -> list[Any]:
    """The items of a page."""
    return [(item.id, *words(item)) for item in page.items]


ASKED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "more than there are": {"k": ITEMS + 5},
    "weights": {"weights": True},
    "disliked": {"disliked": ["0003-0", "0017-2"]},
    "interests": {"settings": ProfileSettings(interests=2)},
    "half-life": {"settings": ProfileSettings(half_life=1.5, last=3)},
    "diverse": {"selection": Selection(diversity=0.4)},
    "one per": {"selection": Selection(one_per="colour name")},
    "one per beginning of the id": {"k": 30, "selection": Selection(one_per="id:4")},
    "the history too": {"selection": Selection(exclude_history=False)},
    "least score": {"k": 50, "selection": Selection(min_score=0.4)},
    "denied": {"selection": Selection(deny=["0004-0", "0000-0"])},
    "allowed": {"selection": Selection(allow=[f"{number:04d}-1" for number in range(20)])},
    "allowed and filtered": {
        "selection": Selection(allow=[f"{number:04d}-1" for number in range(40)], where="audience = 'Kids'")
    },
    "filtered, one per": {"selection": Selection(where="price > 10", one_per="colour name")},
    "filtered, interests, diverse": {
        "settings": ProfileSettings(interests=2),
        "selection": Selection(where="audience is not missing", diversity=0.3),
    },
}


@pytest.mark.parametrize("name", ASKED)
def test_the_same_recommendations(shop: Recommender, local: Recommender, name: str) -> None:
    for history in HISTORIES:
        asked = {"k": 10, **ASKED[name]}
        if asked.get("weights"):
            asked["weights"] = [1.0 + place for place in range(len(history))]
        assert same(shop.recommend(history, **asked), local.recommend(history, **asked))


FILTERS = (
    "audience = 'Kids'",
    "audience != 'Kids'",
    "not (audience = 'Kids' or audience is missing)",
    "audience in ('Kids', 'Menswear') and price < 40",
    "audience not in ('Kids', 5)",
    "price >= 0 and not price > 20.5",
    "price = 0",
    "price != 15",
    "price < -1e0",
    "price is missing",
    "not price is missing and price = 'ask us'",
    "price > 'a'",
    "price <= '5'",
    "\"colour name\" = 'it''s green'",
    "\"colour name\" like '%BLUE'",
    "\"colour name\" like '50%_\\'",
    "\"colour name\" like '__d'",
    "\"colour name\" contains '%_'",
    "\"colour name\" contains '\\'",
    "\"colour name\" not contains 'E'",
    "\"Gr\u00f6\u00dfe.`\" = 'XL'",
    '"Gr\u00f6\u00dfe.`" is missing',
    "caption contains 'garment number 1'",
    "title like 'TITLE of 00_1%'",
    "title < 'title of 0020'",
    "id > '0040-0'",
    "id in ('0001-1', '0007-2')",
    "not not sold > 50 and (sold < 60 or sold > 1e999)",
    "audience = ''",
    "sold = 1e3",
)


@pytest.mark.parametrize("where", FILTERS)
def test_the_same_items_pass_a_filter(shop: Recommender, local: Recommender, where: str) -> None:
    told = []
    pages = []
    for each in (shop, local):
        # A recommender keeps what a filter admits, and warns the first time only.
        with Recommender.open(each.store.folder) as fresh, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            pages.append(fresh.items(where=where, limit=None))
        told.append({str(one.message).partition(", such as")[0] for one in said if one.category is Vlm4RecWarning})
    assert listed(pages[0]) == listed(pages[1])
    assert told[0] == told[1]
    selection = Selection(where=where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Vlm4RecWarning)
        assert same(
            shop.recommend(HISTORIES[1], 12, selection=selection),
            local.recommend(HISTORIES[1], 12, selection=selection),
        )


def test_a_filter_that_cannot_be_read_is_refused(shop: Recommender) -> None:
    for where in ("prize < 5", "price <", "'; drop table items"):
        with pytest.raises(UsageError, match="cannot be read"):
            shop.recommend(HISTORIES[0], selection=Selection(where=where))


def test_the_same_reasons(shop: Recommender, local: Recommender) -> None:
    answers = [each.recommend(HISTORIES[2], disliked=["0003-0"], explain=True) for each in (shop, local)]
    for found, expected in zip(*answers, strict=True):
        assert [(one.source, one.kind, one.words) for one in found.because] == [
            (one.source, one.kind, one.words) for one in expected.because
        ]
        assert np.allclose([one.amount for one in found.because], [one.amount for one in expected.because], atol=1e-3)
        assert sum(one.amount for one in found.because) == pytest.approx(found.score, abs=1e-3)


@pytest.mark.parametrize("where", [None, "price > 10", "caption contains '1'"])
def test_many_are_answered_as_one(shop: Recommender, where: str | None) -> None:
    selection = Selection(where=where)
    histories = [History(str(number), items) for number, items in enumerate(HISTORIES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Vlm4RecWarning)
        answers = list(shop.recommend_many([*histories, History("new", ["no such item"])], 7, selection=selection))
        for answer, history in zip(answers, HISTORIES, strict=False):
            found = shop.recommend(history, 7, selection=selection)
            assert list(answer.items) == [hit.item_id for hit in found]
    assert [answer.reason for answer in answers] == ["", "", "", "The index holds no item of the history."]


def test_the_same_popular_items_and_columns(shop: Recommender, local: Recommender) -> None:
    selection = Selection(where="audience = 'Kids'")
    asked: dict[str, Any] = {"popularity": "sold", "selection": selection, "skip_unknown": True}
    assert same(shop.recommend([], **asked), local.recommend([], **asked))
    columns = [
        {one.name: (one.distinct, one.missing, one.least, one.most) for one in each.columns()} for each in (shop, local)
    ]
    assert columns[0] == columns[1]


def test_the_same_pages_and_ids(shop: Recommender, local: Recommender) -> None:
    pages = [each.items(after="0007-1", skip=2, limit=9) for each in (shop, local)]
    assert listed(pages[0]) == listed(pages[1])
    assert (pages[0].total, pages[0].next_after) == (pages[1].total, pages[1].next_after)
    assert shop.unknown(["0001-1", "none", "it's"]) == ["none", "it's"]
    with pytest.raises(UnknownItemError, match="did you mean '0001-1'"):
        shop.recommend(["0001-11"])


def test_a_source_tells_all_that_is_in_it(shop: Recommender, local: Recommender) -> None:
    items = {item.id: item for item in shop.store.items()}
    vectors = shop.store.vectors_at([items[one.id].row for one in local.store.items()])
    assert np.allclose(vectors, local.store.vectors_at([one.row for one in local.store.items()]), atol=1e-6)
    for one in local.store.items():
        assert words(items[one.id]) == words(one)
    rows = shop.store.rows_of(items)
    assert rows == {item.id: item.row for item in items.values()}
    assert shop.store.ids_at(list(rows.values())) == {row: [item_id] for item_id, row in rows.items()}
    assert (shop.store.space, shop.store.count()) == (local.store.space, ITEMS)
    assert shop.store.provenance("encoders") == local.store.provenance("encoders")


def test_vectors_of_what_was_not_shipped_are_refused(shop: Recommender) -> None:
    with pytest.raises(UsageError, match=r"vectors of (its )?photos"):
        open_source(shop.store.folder, photos_alone=True)
