"""Whatever is damaged, ``recommend`` answers or says what to do: never an error of Python."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from breaking.child import Task

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import StoreError, Vlm4RecError
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.selection import Selection

_TRIES = 400
_ASK: dict[str, Callable[[Recommender, list[str]], object]] = {
    "plain": lambda shop, history: shop.recommend(history, skip_unknown=True),
    "explained": lambda shop, history: shop.recommend(history, skip_unknown=True, explain=True),
    "filtered": lambda shop, history: shop.recommend(
        history, skip_unknown=True, selection=Selection(where="caption contains 'e'")
    ),
    "of many users": lambda shop, history: list(shop.recommend_many([History("user", history)])),
}


@pytest.fixture
def index(finished: Task, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.out, tmp_path / "shop.index"))


def _ids(index: Path) -> list[str]:
    with closing(sqlite3.connect(index / "store.sqlite")) as database:
        return [item_id for (item_id,) in database.execute("SELECT id FROM items ORDER BY id")]


@pytest.mark.parametrize("question", _ASK)
def test_a_database_with_many_wrong_bytes_is_an_error_that_says_so(index: Path, question: str) -> None:
    ids = _ids(index)
    whole = (index / "store.sqlite").read_bytes()
    answered = 0
    for seed in range(_TRIES):
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(chance.choice([1, 5, 20, 100])):
            content[chance.randrange(100, len(content))] = chance.randrange(256)
        (index / "store.sqlite").write_bytes(content)
        with suppress(Vlm4RecError), Recommender.open(index) as shop:
            _ASK[question](shop, chance.sample(ids, 5))
            answered += 1
    assert 0 < answered < _TRIES


def test_an_item_whose_vector_is_not_there_is_damage(index: Path) -> None:
    own = _ids(index)[0]
    with closing(sqlite3.connect(index / "store.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE items SET vector_row = 99999 WHERE id = ?", [own])
    with Recommender.open(index) as shop, pytest.raises(StoreError, match="repair"):
        shop.recommend([own])
