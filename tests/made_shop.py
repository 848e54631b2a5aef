"""A made shop to ask anything of: items that share vectors, lack values and come in colours; and its answers by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.index import GRAPH_AFTER, refresh
from vlm4rec_edge.store.reader import StoreReader

ROWS, ITEMS, DIMENSIONS = 90, 120, 12
AUDIENCES = ("Menswear", "Ladieswear", "Kids", "")
COLOURS = ("red", "dark blue", "it's green")


def made_items() -> tuple[np.ndarray, list[tuple[str, int]], dict[str, dict[str, str]], dict[str, str]]:
    """Vectors in a few clusters, items on them (some rows shared, some without an item), attributes, and captions."""
    chance = np.random.default_rng(5)
    centres = random_vectors(6, DIMENSIONS, seed=4)
    vectors = unit(centres[np.arange(ROWS) % 6] + 0.25 * chance.normal(size=(ROWS, DIMENSIONS)))
    items = [
        (f"{number // 3:04d}-{number % 3}", int(row)) for number, row in enumerate(chance.integers(0, ROWS, ITEMS))
    ]
    attributes: dict[str, dict[str, str]] = {}
    for number, (name, _) in enumerate(items):
        attributes[name] = {
            "audience": AUDIENCES[number % 4],
            "price": str(5 * (number % 17)) if number % 11 else "ask us",
            "colour name": COLOURS[number % 3],
            "sold": str((number * 37) % 101),
        }
        if number % 7 == 0:
            del attributes[name]["price"]
    captions = {
        name: f"A {attributes[name]['colour name']} garment number {number}." for number, (name, _) in enumerate(items)
    }
    return vectors, items, attributes, captions


@contextmanager
def opened(folder: Path, method: str) -> Iterator[Recommender]:
    """The index at ``folder``, as it answers by a scan or, however small it is, by the graph."""
    if method == "hnsw":
        with StoreReader(folder) as store:
            refresh(store, exact_limit=0)
    with Recommender.open(folder, exact_limit=0 if method == "hnsw" else 20_000) as shop:
        if method == "hnsw":
            for _ in range(GRAPH_AFTER):
                shop.recommend_vector(np.ones(shop.store.dimensions), k=1)
        assert shop.method == method
        yield shop


def write_made_shop(folder: Path) -> Path:
    """Write the made shop and return its folder. Items had other vectors before, so some rows have no item any more."""
    vectors, items, attributes, captions = made_items()
    write_store(folder, vectors, [(name, number % ROWS) for number, (name, _) in enumerate(items)], captions=captions)
    return write_store(folder, vectors, items, attributes=attributes, captions=captions)


class ByHand:
    """The answers of the made shop by the plainest way: look at every item, in plain Python and float64."""

    def __init__(self) -> None:
        vectors, items, self.attributes, _ = made_items()
        self.rows = dict(items)
        self.vectors = {name: vectors[row].astype(np.float64) for name, row in items}

    def scores(self, query: np.ndarray, admits: Callable[[str, Mapping[str, Any]], bool]) -> dict[str, float]:
        """The score of every item that ``admits`` takes."""
        return {
            name: float(vector @ query) for name, vector in self.vectors.items() if admits(name, self.attributes[name])
        }
