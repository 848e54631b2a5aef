"""Steps that write a table, each to a state that its number decides; run as a program, it makes one after the other.

Its arguments: the kind of the steps, the address, the number of the first step, and the places that are written from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from made_items import NOTES, batch_of

from vlm4rec_edge import export_to_lancedb
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.lance.reader import LanceReader
from vlm4rec_edge.lance.writer import finish, remove_items, upsert_items, write_table
from vlm4rec_edge.recommend.source import ItemSource, open_source
from vlm4rec_edge.shards.merging import merge_shards

# What a table holds: items by id, without their rows, and their vectors.
State = dict[str, tuple[StoredItem, np.ndarray]]
_GROUPS, _OF_EACH = 5, 100


def step(kind: str, address: str, number: int, places: Sequence[str]) -> None:
    """Take a step: ``export`` an index, ``merge`` shards, or ``update`` items in a table."""
    if kind == "export":
        export_to_lancedb(places[number % len(places)], address)
    elif kind == "merge":
        merge_shards(places[number % len(places)], address)
    elif number == 0:
        write_table(address, [batch_of(_ids(group)) for group in range(_GROUPS)], NOTES, [], exact_limit=0)
    elif _removes(number):
        remove_items(address, _ids(number))
    else:
        upsert_items(address, *batch_of(_ids(number), seed=number, version=str(number)), space="e")
        if number % 4 == 0:
            finish(address, exact_limit=0)


def updated(number: int) -> State:
    """Return the state after so many steps of ``update``."""
    state: State = {}
    for group in range(_GROUPS):
        state |= _state(*batch_of(_ids(group)))
    for done in range(1, number + 1):
        if _removes(done):
            state = {name: held for name, held in state.items() if name not in _ids(done)}
        else:
            state |= _state(*batch_of(_ids(done), seed=done, version=str(done)))
    return state


def _removes(number: int) -> bool:
    return number % 3 == 2


def _ids(group: int) -> list[str]:
    return [f"{group % _GROUPS}-{place}" for place in range(_OF_EACH)]


def _state(items: Sequence[StoredItem], vectors: np.ndarray) -> State:
    return {item.id: (_without_row(item), vector) for item, vector in zip(items, vectors, strict=True)}


def _without_row(item: StoredItem) -> StoredItem:
    return StoredItem(**{**vars(item), "row": 0})


def state_of(source: ItemSource) -> State:
    """Return what a source holds; no item comes twice."""
    items = list(source.items())
    state = _state(items, source.vectors_at([item.row for item in items]))
    assert len(state) == len(items) == source.count()
    return state


def state_at(place: Path | str) -> State:
    """Return what an index holds."""
    source, _ = open_source(place)
    try:
        return state_of(source)
    finally:
        source.close()


def state_of_table(address: str) -> State:
    """Return what a table holds; nothing where there is none."""
    try:
        with LanceReader(address) as table:
            return state_of(table)
    except StoreError as error:
        if "There is no index" not in str(error):
            raise
        return {}


def are_equal(one: State, other: State) -> bool:
    """Whether two states are one: the same items, and vectors to 1e-5."""
    return one.keys() == other.keys() and all(
        held[0] == other[name][0] and np.allclose(held[1], other[name][1], atol=1e-5) for name, held in one.items()
    )


def _main(kind: str, address: str, first: str, *places: str) -> None:
    state_of_table(address)  # so that all is imported before the first step
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    for number in count(int(first)):
        step(kind, address, number, places)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
