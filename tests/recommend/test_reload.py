"""An open recommender keeps its moment of the index until it is reloaded; once it is closed, it says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, write_store

from vlm4rec_edge import History, OnnxEncoder, Recommender, make_bundle
from vlm4rec_edge.errors import StoreError

VECTORS = random_vectors(40)


def _written(folder: Path, count: int) -> Path:
    return write_store(folder, VECTORS, [(f"item-{row}", row) for row in range(count)])


def test_a_recommender_keeps_its_moment_until_it_is_reloaded(tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    with Recommender.open(folder) as shop:
        before = shop.similar("item-1", 50)
        _written(folder, 20)
        assert shop.similar("item-1", 50) == before
        shop.reload()
        assert (len(before), len(shop.similar("item-1", 50))) == (9, 19)
        assert shop.store.count() == 20


def test_what_was_derived_before_is_derived_again_before_anybody_asks(tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    with Recommender.open(folder) as shop:
        shop.columns()
        shop.recommend(["item-1"], explain=True)
        _written(folder, 20)
        shop.reload()
        with shop._snapshot.held() as now:
            assert now._columns is not None
            assert now._words is not None
            assert now.source.count() == 20


def test_a_bundle_that_was_replaced_is_reloaded(tmp_path: Path) -> None:
    bundle = tmp_path / "s.zip"
    make_bundle(_written(tmp_path / "s", 10), bundle)
    with Recommender.open(bundle) as shop:
        assert len(shop.similar("item-1", 50)) == 9
        make_bundle(_written(tmp_path / "s", 20), tmp_path / "new.zip")
        (tmp_path / "new.zip").replace(bundle)
        shop.reload()
        assert len(shop.similar("item-1", 50)) == 19


def test_where_nothing_can_be_reloaded_it_goes_on_with_what_it_has(tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    with Recommender.open(folder) as shop:
        folder.rename(tmp_path / "moved")
        with pytest.raises(StoreError, match="There is no index"):
            shop.reload()
        assert len(shop.similar("item-1", 50)) == 9


def test_answers_under_way_end_with_the_moment_they_began_with(tmp_path: Path) -> None:
    folder = _written(tmp_path / "s", 10)
    with Recommender.open(folder) as shop:
        answers = shop.recommend_many((History(str(user), ["item-1"]) for user in range(3000)), 50)
        first = next(answers)
        _written(folder, 20)
        shop.reload()
        assert {len(answer.items) for answer in (first, *answers)} == {9}
        assert len(shop.similar("item-1", 50)) == 19


def test_threads_are_answered_while_it_is_reloaded_and_closed(tmp_path: Path) -> None:
    folder, wrong, stop = _written(tmp_path / "s", 30), [], threading.Event()
    shop = Recommender.open(folder)

    def ask() -> None:
        while not stop.is_set():
            try:
                found = shop.similar("item-1", 50)
            except StoreError as error:
                if "is closed" not in str(error):
                    wrong.append(error)
                return
            except Exception as error:
                wrong.append(error)
                return
            if len(found) != 29:
                wrong.append(AssertionError(len(found)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        shop.reload()
    shop.close()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_loaded_encoder_is_kept_where_it_still_fits(shop_index: Path, encoder: OnnxEncoder) -> None:
    with Recommender.open(shop_index) as shop:
        before = shop.search("a red shirt")
        loaded = shop._snapshot._encoder
        shop.reload()
        assert shop.search("a red shirt") == before
        assert shop._snapshot._encoder is loaded is not None


CALLS: dict[str, Callable[[Recommender], object]] = {
    "recommend": lambda shop: shop.recommend(["item-1"]),
    "recommend_many": lambda shop: list(shop.recommend_many([History("a", ["item-1"])])),
    "similar": lambda shop: shop.similar("item-1"),
    "search": lambda shop: shop.search("red"),
    "recommend_vector": lambda shop: shop.recommend_vector(np.ones(32)),
    "vectors": lambda shop: shop.vectors(["item-1"]),
    "unknown": lambda shop: shop.unknown(["item-1"]),
    "profile": lambda shop: shop.profile(["item-1"]),
    "store": lambda shop: shop.store,
    "method": lambda shop: shop.method,
    "reload": lambda shop: shop.reload(),
}


@pytest.mark.parametrize("shipped", ["index", "bundle"])
@pytest.mark.parametrize("call", CALLS)
def test_a_closed_recommender_says_that_it_is_closed(tmp_path: Path, shipped: str, call: str) -> None:
    folder = _written(tmp_path / "s", 10)
    if shipped == "bundle":
        make_bundle(folder, tmp_path / "b")
        folder = tmp_path / "b"
    shop = Recommender.open(folder)
    shop.close()
    shop.close()
    with pytest.raises(StoreError, match=r"is closed; open the index again with Recommender\.open\.$"):
        CALLS[call](shop)
