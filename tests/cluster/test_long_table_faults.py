"""A writer of a table is killed at twenty random moments: the table is as it was before, or as after, and no mixture."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lancedb", reason="lancedb is not installed")

sys.path.append(str(Path(__file__).parents[1] / "backends"))

import table_steps
from made_shards import models, plain_catalog
from made_store import random_vectors, write_store
from table_steps import State, are_equal, state_at, state_of_table, step, updated

from vlm4rec_edge import Recommender
from vlm4rec_edge.shards.merging import merge_shards
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.running import run_shards

_TIMES = 20
# So that states have a different number of items, and other captions for the same ids.
_ITEMS = (300, 500, 400)


def _killed(steps: int, seconds: float, *arguments: object) -> list[int]:
    """Take steps in a process that is killed so many seconds after some steps; return which it said to be done."""
    process = subprocess.Popen(
        [sys.executable, table_steps.__file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    said = [process.stdout.readline() for _ in range(steps)]
    time.sleep(seconds)
    process.kill()
    out, err = process.communicate()
    assert process.returncode == -9, err
    return [int(line) for line in [*said, *out.splitlines(keepends=True)] if line.endswith("\n")]


def _check(kind: str, folder: Path, expected: list[State] | None, places: list[Path], seed: int) -> None:
    """Kill a writer again and again, look at the table, and take the step that was under way to its end.

    Args:
        kind: Of the steps.
        folder: Where the table lies; every fourth time another one that is not there yet, unless items are updated.
        expected: The states that the steps lead to, in turn; None for those of ``updated``.
        places: What is written.
        seed: Of the moments.
    """
    chance, done, before = random.Random(seed), 0, 0

    def state(number: int) -> State:
        return updated(number) if expected is None else expected[number % len(expected)]

    address = f"lancedb://{folder / 'table'}"
    step(kind, address, 0, [*map(str, places)])
    longest = 1.0
    for time_of_it in range(_TIMES):
        is_new = expected is not None and time_of_it % 4 == 3
        if is_new:
            address = f"lancedb://{folder / f'table-{time_of_it}'}"
        said = _killed(chance.randrange(2), chance.uniform(0, longest), kind, address, done + 1, *places)
        assert said == list(range(done + 1, done + 1 + len(said)))
        found = state_of_table(address)
        was = {} if is_new and not said else state(done + len(said))
        done += len(said) + 1
        is_in = are_equal(found, state(done))
        assert is_in or are_equal(found, was)
        before += not is_in
        started = time.monotonic()
        step(kind, address, done, [*map(str, places)])
        longest = time.monotonic() - started  # so that the next one is killed in the middle of a step, or soon after
        assert are_equal(state_of_table(address), state(done))
        with Recommender.open(address) as shop:
            first = min(state(done))
            assert first not in {hit.item_id for hit in shop.similar(first, 10)}
    assert before, "some were killed before their commit"


def test_an_export_is_killed(tmp_path: Path) -> None:
    places = []
    for number, items in enumerate(_ITEMS):
        captions = {f"item-{row}": f"state {number}, item {row}" for row in range(items)}
        attributes = {name: {f"column {number}": name} for name in captions}
        vectors = random_vectors(items, seed=number)
        places.append(write_store(tmp_path / f"index-{number}", vectors, captions=captions, attributes=attributes))
    _check("export", tmp_path, [state_at(place) for place in places], places, seed=1)


def test_a_merge_is_killed(tmp_path: Path) -> None:
    places, states = [], []
    for number, items in enumerate(_ITEMS):
        place = tmp_path / f"shards-{number}"
        plan_shards(plain_catalog(tmp_path / f"shop-{number}", items), place, rows=150)
        run_shards(place, models=models(tmp_path / f"{number}.log"))
        merge_shards(place, tmp_path / f"index-{number}")
        places.append(place)
        states.append(state_at(tmp_path / f"index-{number}"))
    _check("merge", tmp_path, states, places, seed=2)


def test_a_writer_of_updates_is_killed(tmp_path: Path) -> None:
    _check("update", tmp_path, None, [], seed=3)
