"""What can be read back from a profile vector? An attacker with the index tries to name the items of a history.

The attacker knows the catalog's vectors, the profile vector, and how many items the history has (a ``Profile`` notes it),
and looks for so few vectors of the catalog that sum to the profile's direction: orthogonal matching pursuit (Pati,
Rezaiifar and Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import write_results

from vlm4rec_edge import Recommender

SIZES = (1, 2, 3, 5, 10, 20, 50)


def read_back(profile: np.ndarray, vectors: np.ndarray, count: int) -> list[int]:
    """Return ``count`` rows of ``vectors`` [rows, dimensions] whose sum best points along ``profile`` [dimensions]."""
    chosen: list[int] = []
    rest = profile.astype(np.float64)
    for _ in range(count):
        likeness = vectors @ rest
        likeness[chosen] = -np.inf
        chosen.append(int(np.argmax(likeness)))
        parts = vectors[chosen].T.astype(np.float64)
        rest = profile - parts @ np.linalg.lstsq(parts, profile, rcond=None)[0]
    return chosen


def trial(shop: Recommender, vectors: np.ndarray, rows: dict[str, int], history: list[str]) -> float:
    """Return which share of a history the attacker names, up to items that share a vector."""
    found = read_back(shop.profile(history).vector(), vectors, len(history))
    return len(set(found) & {rows[item_id] for item_id in history}) / len(history)


def measure(index: Path, trials: int, seed: int) -> list[dict[str, Any]]:
    """Return one row for each size of history: random histories of items with different vectors."""
    chance = np.random.default_rng(seed)
    with Recommender.open(index) as shop:
        vectors = shop.store.vectors_at(np.arange(shop.store.rows))
        by_row = {item.row: item.id for item in shop.store.items()}
        ids, rows = list(by_row.values()), {item_id: row for row, item_id in by_row.items()}
        table = []
        for size in SIZES:
            histories = [[ids[place] for place in chance.permutation(len(ids))[:size]] for _ in range(trials)]
            shares = [trial(shop, vectors, rows, history) for history in histories]
            table.append(
                {
                    "items in the history": size,
                    "items named, mean": f"{np.mean(shares):.0%}",
                    "histories named wholly": f"{np.mean([share == 1 for share in shares]):.0%}",
                    "different vectors": len(ids),
                    "dimensions": vectors.shape[1],
                    "histories": trials,
                }
            )
    return table


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--remark", default="", help="What the index holds, for the results.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    remarks = ["The attacker has the index, the profile vector and the number of items. Histories are random items."]
    if arguments.remark:
        remarks.append(arguments.remark)
    rows = measure(arguments.index, arguments.trials, arguments.seed)
    print(write_results(arguments.out, "profile_privacy", "What can be read back from a profile vector", rows, remarks))


if __name__ == "__main__":
    main()
