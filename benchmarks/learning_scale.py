"""How long learning takes and how much memory, for catalogs and purchases of several sizes: made data, the real command.

Example:
    python benchmarks/learning_scale.py --sizes 10000:100000,1000000:10000000
"""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from running.fresh_process import PROGRAM, memory_of
from running.results_file import write_results
from timing.made_index import KINDS, item_id, made_index

from vlm4rec_edge.store.writer import StoreWriter

RESULTS = Path(__file__).with_name("results")
# What one customer bought: some sets of kinds that go together, and a few things of any kind.
_LEAST, _MEAN = 2, 8
_SET = 10
_DAYS = 365
_BLOCK = 100_000
_EVERY_S = 0.2


def write_purchases(path: Path, items: int, purchases: int, seed: int = 0) -> None:
    """Write a table of purchases: each customer buys within one of the sets of kinds, popular items more often."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["user_id", "item_id", "date"])
        left, user = purchases, 0
        while left:
            sizes = np.minimum(_LEAST + random.geometric(1 / (_MEAN - _LEAST), _BLOCK // _MEAN), _BLOCK)
            sizes = sizes[np.cumsum(sizes) <= left] if sizes.sum() > left else sizes
            if not len(sizes):
                sizes = np.array([left])
            users = np.repeat(np.arange(user, user + len(sizes)), sizes)
            sets = np.repeat(random.integers(0, KINDS // _SET, len(sizes)), sizes)
            kinds = sets * _SET + random.integers(0, _SET, len(users))
            each = max(1, items // KINDS)
            places = np.minimum((each * random.power(0.4, len(users))).astype(np.int64), each - 1)  # few are popular
            numbers = np.minimum(kinds + KINDS * places, items - 1)
            days = random.integers(0, _DAYS, len(users))
            dates = (np.datetime64("2025-01-01") + days).astype(str)
            table.writerows(zip(users.tolist(), map(item_id, numbers.tolist()), dates.tolist(), strict=True))
            left, user = left - len(users), user + len(sizes)


def learn(index: Path, purchases: Path) -> dict[str, float]:
    """Run the command and return its seconds and the most memory it had at a time, in MB: its own, and with mapped files."""
    command = [str(PROGRAM), "learn", str(index), "--interactions", str(purchases), "--json"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        own, whole = 0.0, 0.0
        while process.poll() is None:
            if memory := memory_of(process.pid):
                own, whole = max(own, memory["RssAnon"]), memory["VmHWM"]
            time.sleep(_EVERY_S)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"learn ended with code {process.returncode}.")
    report = json.loads(said)
    gain, found = report["gain"]["mean"], len(report["unknown_items"])
    assert not found, f"{found} of the ids are not in the index"
    return {
        "seconds": time.monotonic() - started,
        "own": own,
        "whole": whole,
        "users": report["users"],
        "bought": report["items_bought"],
        "gain": gain,
    }


def main(
    sizes: Annotated[str, typer.Option(help="Items:purchases, comma between.")] = "10000:100000,1000000:10000000",
    work: Annotated[Path | None, typer.Option(help="Folder for made indexes; kept for the next run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Make an index and purchases of each size and learn from them. Linux."""
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as own:
        folder = work or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        for items, purchases in (map(int, size.split(":")) for size in sizes.split(",")):
            typer.echo(f"{time.strftime('%H:%M:%S')} {items:,} items, {purchases:,} purchases ...", err=True)
            index, _ = made_index(folder, items, graph=False)
            with StoreWriter(index) as store:
                store.note(index_backend="exact")  # the graph is made, and measured, apart: scale.py
            table = folder / f"purchases-{items}-{purchases}.csv"
            if not table.exists():
                write_purchases(table, items, purchases)
            found = learn(index, table)
            rows.append(
                {
                    "items": f"{items:,}",
                    "purchases": f"{purchases:,}",
                    "items bought": f"{found['bought']:,.0f}",
                    "users judged": f"{found['users']:,.0f}",
                    "gain in NDCG@10": f"{found['gain']:+.4f}",
                    "seconds": round(found["seconds"], 1),
                    "own memory, MB": round(found["own"]),
                    "with mapped files, MB": round(found["whole"]),
                }
            )
            typer.echo(json.dumps(rows[-1]), err=True)
    remarks = [
        "From the start of the program to its end: reading the table, judging, learning from everything, writing the mixed "
        "vectors. The search graph is not made (`--index-backend exact`); scale.md has its time.",
        "Items, vectors and purchases are made: a customer buys within a set of kinds that go together, popular items more "
        "often. So the gain says that it works, not what a shop may expect.",
    ]
    typer.echo(write_results(out, "learning-scale", "How long learning takes", rows, remarks))


if __name__ == "__main__":
    typer.run(main)
