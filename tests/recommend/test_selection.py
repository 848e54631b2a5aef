"""What may be shown is shown, what may not is not, and few candidates are still the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import UnknownItemError, UsageError
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.recommend import candidates
from vlm4rec_edge.recommend.selection import Selection
from vlm4rec_edge.store.reader import StoreReader

COUNT = 3000
VECTORS = random_vectors(COUNT, 16)
ATTRIBUTES = {
    f"item-{row}": {
        "shelf": str(row % 10),
        "price": str(row),
        "product": f"p{row // 4}",
        "sold": str((row * 7) % COUNT),
    }
    for row in range(COUNT)
}
del ATTRIBUTES["item-5"]["sold"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three thousand items, one a row."""
    return write_store(tmp_path_factory.mktemp("many") / "store", VECTORS, attributes=ATTRIBUTES)


@pytest.fixture
def market(store: Path) -> Iterator[Recommender]:
    """The store, opened."""
    with Recommender.open(store) as found:
        yield found


class CountedIndex:
    """An exact index that notes how many rows it is asked for."""

    name = "exact"

    def __init__(self, vectors: np.ndarray) -> None:
        self._index = ExactIndex(vectors)
        self.asked: list[int] = []

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Answer and take note."""
        self.asked.append(count)
        return self._index.top(query, count)


@pytest.mark.parametrize(
    ("where", "scanned"),
    [("price < 3", True), ("shelf = 3", True), ("price < 1500", False), ("shelf != 3", False), ("price < 0", True)],
)
def test_a_filter_that_leaves_little_is_scanned_and_one_that_leaves_much_asks_the_index(
    store: Path, where: str, scanned: bool
) -> None:
    with StoreReader(store) as source:
        index = CountedIndex(source.vectors)
        with Recommender(source, index) as shop:
            found = shop.similar("item-0", k=10, selection=Selection(where=where))
    assert bool(index.asked) != scanned
    rows = {"price < 3": range(3), "price < 1500": range(1500), "price < 0": range(0)}.get(
        where, [row for row in range(COUNT) if (row % 10 == 3) == ("!" not in where)]
    )
    order = sorted((row for row in rows if row), key=lambda row: -float(VECTORS[row] @ VECTORS[0]))
    assert [hit.item_id for hit in found] == [f"item-{row}" for row in order[:10]]


def test_a_filter_against_the_history_is_answered_without_asking_for_everything(tmp_path: Path) -> None:
    """Half the catalog is admitted, but none of it is near: widening ends in a scan of the admitted half."""
    near, far = (
        unit([1, 0, 0, 0] + 0.1 * random_vectors(2000, 4)),
        unit([-1, 0, 0, 0] + 0.1 * random_vectors(2000, 4, seed=2)),
    )
    attributes = {f"item-{row}": {"side": "near" if row < 2000 else "far"} for row in range(4000)}
    folder = write_store(tmp_path / "store", np.concatenate([near, far]), attributes=attributes)
    with StoreReader(folder) as source:
        index = CountedIndex(source.vectors)
        with Recommender(source, index) as shop:
            found = shop.similar("item-0", k=5, selection=Selection(where="side = 'far'"))
    order = np.argsort(-(far @ near[0]))[:5]
    assert [hit.item_id for hit in found] == [f"item-{2000 + row}" for row in order]
    assert 0 < max(index.asked) < 4000


def test_of_a_large_index_what_a_filter_leaves_is_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as a small index holds need no approximate index, which misses much of what is not near."""
    monkeypatch.setattr(candidates, "EXACT_LIMIT", 2000)
    vectors = random_vectors(4000, 8)
    attributes = {f"item-{row}": {"price": str(row)} for row in range(4000)}
    with StoreReader(write_store(tmp_path / "store", vectors, attributes=attributes)) as source:
        index = CountedIndex(source.vectors)
        with Recommender(source, index) as shop:
            found = shop.similar("item-0", k=5, selection=Selection(where="price >= 2000"))
            assert index.asked == []
            shop.similar("item-0", k=5, selection=Selection(where="price >= 1999"))
            assert index.asked
    order = np.argsort(-(vectors[2000:] @ vectors[0]))[:5]
    assert [hit.item_id for hit in found] == [f"item-{2000 + row}" for row in order]


def test_scanning_in_blocks_is_scanning(market: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    select = Selection(where="shelf in (1, 2)")
    monkeypatch.setattr(candidates, "_SCANNED_PER_ROW", 10**6)
    whole = market.similar("item-0", k=50, selection=select)
    monkeypatch.setattr(candidates, "_SCAN_BLOCK", 7)
    assert [hit.item_id for hit in market.similar("item-0", k=50, selection=select)] == [hit.item_id for hit in whole]


def test_a_list_of_allowed_items_needs_no_table(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreReader, "table", lambda self: pytest.fail("the whole table was read"))
    with Recommender.open(store) as shop:
        found = shop.similar(
            "item-0", k=3, selection=Selection(allow=["item-0", "item-8", "item-9", "nobody"], deny=["item-9"])
        )
    assert [hit.item_id for hit in found] == ["item-8"]


def test_a_plain_question_needs_no_table(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreReader, "table", lambda self: pytest.fail("the whole table was read"))
    with Recommender.open(store) as shop:
        assert len(shop.recommend(["item-0", "item-1"], disliked=["item-2"], k=7)) == 7


def test_one_of_a_product_is_its_nearest(market: Recommender) -> None:
    plain = market.similar("item-0", k=COUNT)
    for one_per, group in (("product", lambda hit: hit.attributes["product"]), ("id:6", lambda hit: hit.item_id[:6])):
        expected: dict[str, str] = {}
        for hit in plain:
            expected.setdefault(group(hit), hit.item_id)
        found = market.similar("item-0", k=20, selection=Selection(one_per=one_per))
        assert [hit.item_id for hit in found] == list(expected.values())[:20]


def test_a_column_that_is_not_there_is_named_with_those_that_are(market: Recommender) -> None:
    with pytest.raises(
        UsageError, match=r"no column 'products' among id, title, caption, shelf, .*did you mean 'product'"
    ):
        market.similar("item-0", selection=Selection(where="products = 'p1'"))
    for one_per in ("products", "products:3", "product:0", "product:x", ":3"):
        with pytest.raises(UsageError, match="to group by; the index has id, title, caption, shelf"):
            market.similar("item-0", selection=Selection(one_per=one_per))


def test_a_text_is_no_list_of_ids() -> None:
    with pytest.raises(UsageError, match="Items to deny are a list of ids, not one text"):
        Selection(deny="item-1")


def test_nothing_below_the_least_score_is_shown(market: Recommender) -> None:
    plain = market.similar("item-0", k=COUNT)
    found = market.similar("item-0", k=COUNT, selection=Selection(min_score=0.5))
    assert found == [hit for hit in plain if hit.score >= 0.5]
    assert 0 < len(found) < 200


def test_the_history_may_be_let_in_but_not_what_is_disliked(market: Recommender) -> None:
    found = market.recommend(["item-0"], disliked=["item-1"], k=COUNT, selection=Selection(exclude_history=False))
    ids = [hit.item_id for hit in found]
    assert ids[0] == "item-0"
    assert "item-1" not in ids
    assert len(ids) == COUNT - 1


def test_where_nothing_is_known_the_most_popular_is_shown(market: Recommender) -> None:
    select = Selection(where="shelf = 4", deny=["item-994"])
    by_count = sorted(
        (name for name in ATTRIBUTES if int(ATTRIBUTES[name]["shelf"]) == 4 and name != "item-994"),
        key=lambda name: -int(ATTRIBUTES[name]["sold"]),
    )
    found = market.recommend([], k=5, popularity="sold", selection=select)
    assert [hit.item_id for hit in found] == by_count[:5]
    assert [hit.score for hit in found] == [float(ATTRIBUTES[name]["sold"]) for name in by_count[:5]]
    assert {hit.basis for hit in found} == {"popularity"}
    of_unknown = market.recommend(["nobody"], k=5, popularity="sold", selection=select, skip_unknown=True)
    assert of_unknown == found


def test_popularity_steps_in_only_where_there_is_nothing_else(market: Recommender) -> None:
    assert market.recommend(["item-3"], k=5, popularity="sold") == market.recommend(["item-3"], k=5)
    with pytest.raises(UnknownItemError, match="nobody"):
        market.recommend(["nobody"], popularity="sold")


def test_popularity_without_counts_is_refused(market: Recommender) -> None:
    with pytest.raises(UsageError, match="no column 'sales' to take popularity from; the index has id, title"):
        market.recommend([], popularity="sales")
    with pytest.raises(UsageError, match="'product' holds no number"):
        market.recommend([], popularity="product")


def test_popularity_keeps_to_groups_lists_and_numbers(market: Recommender) -> None:
    everything = market.recommend([], k=COUNT, popularity="sold")
    assert len(everything) == COUNT - 1, "one item has no count"
    found = market.recommend(
        [], k=4, popularity="sold", selection=Selection(one_per="shelf", allow=list(ATTRIBUTES)[:500])
    )
    assert len({hit.attributes["shelf"] for hit in found}) == 4
    assert all(int(hit.item_id[5:]) < 500 for hit in found)


def test_any_vector_may_be_asked_with(market: Recommender) -> None:
    plain = market.recommend_vector(VECTORS[3] * 40, k=4)
    assert plain[0].item_id == "item-3"
    assert plain[0].score == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(market.vectors(["item-3", "item-0", "item-3"]), VECTORS[[3, 0, 3]])
    with pytest.raises(UsageError, match="must be 16 finite numbers"):
        market.recommend_vector(np.ones(15))
    with pytest.raises(UsageError, match="must be 16 finite numbers"):
        market.recommend_vector(np.full(16, np.nan))
    with pytest.raises(UsageError, match="it has no direction"):
        market.recommend_vector(np.zeros(16))
    with pytest.raises(UsageError, match="k is 0"):
        market.recommend_vector(VECTORS[0], k=0)
    with pytest.raises(UnknownItemError):
        market.vectors(["nobody"])
