"""Indexes of made items at any size: the real store and the real graph, over vectors drawn from the captions' hashes."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
from running.stand_ins import MadeVectors

from vlm4rec_edge.index import refresh
from vlm4rec_edge.indexing.run import checked_golden
from vlm4rec_edge.items import Item
from vlm4rec_edge.provenance import MadeBy, made_by
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.making import Making
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import StoreWriter

# As many kinds of products as a large shop has; captions begin with theirs, so that there are neighbours to find.
KINDS = 2000
_COLOURS = ("red", "dark blue", "black", "white", "green", "pink", "grey", "beige")
_FABRICS = ("cotton", "denim", "wool", "linen", "jersey")
AUDIENCES = ("Menswear", "Ladieswear", "Kids", "Sport")
_BATCH = 4096


def item_id(number: int) -> str:
    """Return the id of an item; four in a row are variants of one product and share all but the last digit."""
    return f"{number // 4:08d}{number % 4}"


def made_index(work: Path, count: int, *, graph: bool) -> tuple[Path, dict[str, float]]:
    """Return the folder of an index of ``count`` items, and the seconds that its parts took to make now.

    What lies in ``work`` from an earlier run is taken as it is and has no seconds.
    """
    folder = work / f"made-{count}.index"
    stamp = work / f"made-{count}.json"
    made: dict[str, float] = json.loads(stamp.read_text()) if stamp.exists() else {}
    seconds: dict[str, float] = {}
    if "items" not in made:
        seconds["items"] = _add(folder, count)
    if graph and "graph" not in made:
        started = time.monotonic()
        with StoreReader(folder) as store:
            refresh(store, exact_limit=0)
        seconds["graph"] = time.monotonic() - started
    stamp.write_text(json.dumps({**made, **seconds}))
    return folder, seconds


def _add(folder: Path, count: int) -> float:
    started = time.monotonic()
    grounding = MadeBy(
        hashlib.sha256(b"made captions").hexdigest(), {"name": "made-captions", "prompt": "Describe this."}
    )
    encoder = MadeVectors()
    with StoreWriter(folder) as store:
        golden = checked_golden(store, encoder)
        store.begin_run(Making(grounding, made_by(encoder), encoder.dimensions, golden, "caption"))
        for start in range(0, count, _BATCH):
            items = [_item(number) for number in range(start, min(start + _BATCH, count))]
            texts = store.without_vector([item.text for item in items])
            store.write(items, dict(zip(texts, encoder.encode(texts), strict=True)))
    return time.monotonic() - started


def _item(number: int) -> GroundedItem:
    colour, fabric = _COLOURS[number % len(_COLOURS)], _FABRICS[number // 7 % len(_FABRICS)]
    caption = f"kind-{number % KINDS} garment in {colour} {fabric}, number {number}"
    attributes = {"price": str(5 + number % 100), "audience": AUDIENCES[number % len(AUDIENCES)]}
    key = hashlib.sha256(caption.encode()).hexdigest()
    return GroundedItem(
        Item(item_id(number), Path("none.jpg"), "", attributes), key, key, "Describe this.", caption, caption
    )


def made_histories(users: int, items: int, length: int, seed: int = 0) -> list[History]:
    """Return histories of ``length`` items, half of each of one kind and half of any."""
    chance = np.random.default_rng(seed)
    histories = []
    for user in range(users):
        kind = int(chance.integers(0, min(KINDS, items)))
        own = kind + KINDS * chance.integers(0, max(1, (items - kind - 1) // KINDS + 1), (length + 1) // 2)
        numbers = [*own.tolist(), *chance.integers(0, items, length // 2).tolist()]
        histories.append(History(f"user-{user}", [item_id(number) for number in numbers]))
    return histories
