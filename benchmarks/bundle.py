"""How many of the ten best items float16 and int8 vectors keep, and how large and how quick a bundle is.

    python benchmarks/bundle.py shop.index

The histories are random: 2,000 of one to ten items of the index, the same ones every time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np

from vlm4rec_edge import Recommender
from vlm4rec_edge.bundle.output import size_of
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.vectors import VectorType
from vlm4rec_edge.bundle.writer import make_bundle

HISTORIES, LONGEST, K = 2000, 10, 10
OPENINGS = 20


def best_ids(shop: Recommender, histories: list[list[str]]) -> tuple[list[set[str]], float]:
    """Return the ids of the best of each history, and the median time of an answer in milliseconds."""
    answers, times = [], []
    for history in histories:
        started = time.perf_counter()
        hits = shop.recommend(history, k=K)
        times.append(time.perf_counter() - started)
        answers.append({hit.item_id for hit in hits})
    return answers, float(np.median(times)) * 1e3


def open_time(path: Path) -> float:
    """Return the median time in milliseconds of opening a bundle whose file is in memory."""
    times = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        BundleReader(path).close()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def main() -> None:
    """Print one line a vector type."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, help="an index folder")
    index = parser.parse_args().index
    chance = np.random.default_rng(0)
    with Recommender.open(index) as shop, tempfile.TemporaryDirectory() as folder:
        ids = [item.id for item in shop.store.items()]
        lengths = chance.integers(1, LONGEST + 1, HISTORIES)
        histories = [[ids[place] for place in chance.choice(len(ids), n, replace=False)] for n in lengths]
        expected, _ = best_ids(shop, histories)
        print(f"{len(ids)} items; of the {K} best by the index, {HISTORIES} histories:")
        for kind in get_args(VectorType):
            path = Path(folder) / f"{kind}.zip"
            make_bundle(index, path, vectors=kind)
            with Recommender.open(path) as shipped:
                found, median = best_ids(shipped, histories)
            kept = np.mean([len(one & other) / len(one) for one, other in zip(expected, found, strict=True)])
            print(
                f"{kind:>8}: {kept:.1%} kept, {size_of(path) / 1e6:.2f} MB, opens in {open_time(path):.1f} ms, answers in "
                f"{median:.2f} ms"
            )


if __name__ == "__main__":
    main()
