"""Many threads may ask one recommender at once, and each gets what it would get alone."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_shop import made_items, opened, write_made_shop
from made_store import random_vectors, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.index import GRAPH_AFTER, large, refresh
from vlm4rec_edge.index.hnsw import EF_SEARCH, HnswIndex
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection
from vlm4rec_edge.store.reader import StoreReader

THREADS = 8
IDS = [name for name, _ in made_items()[1]]


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _questions() -> list[dict[str, Any]]:
    return [
        {
            "history": [IDS[number % 120], IDS[(number * 7) % 120]],
            "k": 1 + number % 90,
            "settings": ProfileSettings(interests=1 + number % 3),
            "selection": Selection(
                where=("price < 40", "audience = 'Kids'", None)[number % 3],
                one_per=("id:4", None)[number % 2],
                diversity=(0, 0.5)[number % 2],
            ),
            "explain": number % 2 == 0,
        }
        for number in range(64)
    ]


@pytest.mark.parametrize("method", ["exact", "hnsw"])
@pytest.mark.usefixtures("impatient")
def test_threads_get_what_they_would_get_alone(tmp_path: Path, method: str) -> None:
    folder = write_made_shop(tmp_path / "store")
    with opened(folder, method) as shop:
        alone = [shop.recommend(**question) for question in _questions()]
    with opened(folder, method) as shop, ThreadPoolExecutor(THREADS) as pool:  # nothing is loaded yet when they start
        together = list(pool.map(lambda question: shop.recommend(**question), _questions() * 4))
    assert together == alone * 4


@pytest.mark.usefixtures("impatient")
def test_the_graph_is_loaded_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_store(tmp_path / "store", random_vectors(200))
    with StoreReader(folder) as store:
        refresh(store, exact_limit=0)
    loads = []
    monkeypatch.setattr(large, "load_index", lambda store, _: loads.append(store))
    with Recommender.open(folder, exact_limit=0) as shop, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda number: shop.similar(f"item-{number % 200}"), range(4 * GRAPH_AFTER)))
    assert len(loads) == 1


@pytest.mark.parametrize("beside", [5, 200])
def test_a_narrower_search_never_narrows_a_wide_one_beside_it(beside: int) -> None:
    """hnswlib keeps one search width for all threads."""
    widths: list[int] = []
    inside, may_end = threading.Event(), threading.Event()

    class Graph:
        width = 0

        def get_current_count(self) -> int:
            return 1000

        def set_ef(self, width: int) -> None:
            self.width = width

        def knn_query(self, query: Any, k: int, num_threads: int) -> Any:
            if k == 500:
                inside.set()
                may_end.wait(10)
            widths.append(self.width)
            raise RuntimeError  # then a scan answers

    index = HnswIndex()
    index._hold(Graph(), random_vectors(1000))
    with ThreadPoolExecutor(2) as pool:
        wide = pool.submit(index.search, random_vectors(1), 500)
        assert inside.wait(10)
        index.search(random_vectors(1), beside)
        may_end.set()
        wide.result()
    index.search(random_vectors(1), 5)
    assert widths == [1000, 1000, EF_SEARCH]


def test_a_server_may_await_its_answers(tmp_path: Path) -> None:
    async def serve(shop: Recommender) -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(shop.similar, name, 3) for name in IDS[:20]))

    with opened(write_made_shop(tmp_path / "store"), "exact") as shop:
        assert asyncio.run(serve(shop)) == [shop.similar(name, 3) for name in IDS[:20]]


def test_threads_search_with_one_encoder(shop_index: Path) -> None:
    texts = ["a red dress", "blue jeans", "a black cap", "something warm"]
    with Recommender.open(shop_index) as shop:
        alone = [shop.search(text, 3) for text in texts]
    with Recommender.open(shop_index) as shop, ThreadPoolExecutor(THREADS) as pool:  # the encoder is not loaded yet
        together = list(pool.map(lambda text: shop.search(text, 3), texts * 4))
    assert together == alone * 4
