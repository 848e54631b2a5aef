"""How quick the server is: answers over HTTP for one client and for sixteen, beside the same in Python, and its start.

Example:
    python benchmarks/serving.py --items 100000
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from running.fresh_process import PROGRAM, ask_process
from running.results_file import write_results
from timing.http_client import HttpTask
from timing.made_index import made_histories, made_index

from vlm4rec_edge import Recommender, Selection

RESULTS = Path(__file__).with_name("results")
HISTORIES, LENGTH, WARM = 200, 10, 200


@contextmanager
def serving(index: Path) -> Iterator[tuple[int, float]]:
    """Serve an index; yield the port, and the seconds from the start of the process to its first answer."""
    started = time.perf_counter()
    command = [sys.executable, str(PROGRAM), "serve", str(index), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            lines = []
            while not lines or lines[-1] != "}\n":
                lines.append(process.stdout.readline())
            address = json.loads("".join(lines))["address"]
            with urllib.request.urlopen(f"{address}healthz", timeout=60) as answer:
                answer.read()
            yield int(address.rstrip("/").rpartition(":")[2]), time.perf_counter() - started
        finally:
            process.kill()


def asked(index: Path, items: int) -> dict[str, list[tuple[str, str | None]]]:
    """Return the requests of each row."""
    histories = [history.items for history in made_histories(HISTORIES, items, LENGTH)]
    plain: list[tuple[str, str | None]] = [
        ("/v1/recommend", json.dumps({"history": history, "k": 10})) for history in histories
    ]
    rich: list[tuple[str, str | None]] = [
        ("/v1/recommend", json.dumps({"history": history, "k": 10, "explain": True, "where": "audience = 'Kids'"}))
        for history in histories
    ]
    with Recommender.open(index) as shop:
        total = shop.items(limit=1).total
    pages = [(f"/v1/items?skip={number * total // 50}&limit=60", None) for number in range(50)]
    return {
        "recommend": plain,
        "recommend, filtered, with reasons": rich,
        "a page of 60 items": pages,
        "healthz": [("/healthz", None)],
    }


def in_python(index: Path, items: int) -> dict[str, list[float]]:
    """Return the milliseconds of the same calls in this process."""
    histories = [history.items for history in made_histories(HISTORIES, items, LENGTH)]
    kids = Selection(where="audience = 'Kids'")
    found: dict[str, list[float]] = {}
    with Recommender.open(index) as shop:
        ways: dict[str, dict[str, Any]] = {
            "recommend": {},
            "recommend, filtered, with reasons": {"selection": kids, "explain": True},
        }
        for name, how in ways.items():
            for measured in (False, True):
                found[name] = []
                for history in histories:
                    started = time.perf_counter()
                    shop.recommend(history, 10, **how)
                    if measured:
                        found[name].append(1e3 * (time.perf_counter() - started))
    return found


def row(
    name: str, clients: int, milliseconds: list[float], a_second: float, refused: int, own: list[float]
) -> dict[str, str]:
    """Return a row of the table."""
    return {
        "asked": name,
        "clients": str(clients),
        "p50, ms": f"{np.percentile(milliseconds, 50):.2f}",
        "p99, ms": f"{np.percentile(milliseconds, 99):.2f}",
        "answers a second": f"{a_second:,.0f}",
        "told to come again": str(refused),
        "in Python, p50, ms": f"{np.percentile(own, 50):.2f}" if own else "",
    }


def main(
    items: Annotated[int, typer.Option(help="Items of the made index.")] = 100_000,
    count: Annotated[int, typer.Option(help="Requests of each row.")] = 3_000,
    starts: Annotated[int, typer.Option(help="How often the server is started.")] = 7,
    work: Annotated[Path | None, typer.Option(help="Folder for made indexes; kept for the next run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Serve an index of made items and ask it. Server and clients share the machine; Linux, macOS."""
    rows, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=".") as own_folder:
        folder = work or Path(own_folder)
        folder.mkdir(parents=True, exist_ok=True)
        index, _ = made_index(folder, items, graph=True)
        alone = in_python(index, items)
        cold = []
        for _ in range(starts):
            with serving(index) as (_, seconds):
                cold.append(seconds)
        with serving(index) as (port, _):
            for name, requests in asked(index, items).items():
                for clients in (1, 16):
                    ask_process("timing.http_client", HttpTask(port, clients, WARM, requests))
                    said = ask_process("timing.http_client", HttpTask(port, clients, count, requests))
                    refused = len(said["refused"])
                    rows.append(row(name, clients, said["ms"], count / said["seconds"], refused, alone.get(name, [])))
                    typer.echo(json.dumps(rows[-1]), err=True)
    remarks = [
        f"{items:,} made items, histories of {LENGTH}, ten items each, the real program in a process of its own; the clients "
        "in another on the same machine, so that both share its cores. `healthz` does nothing: it is what HTTP alone costs.",
        f"From the start of the process to its first answer, {starts} times: median {np.median(cold):.2f} s, "
        f"longest {max(cold):.2f} s.",
        f"When it began, other programs of this machine kept {load:.1f} cores busy (load average) of {os.cpu_count()}.",
    ]
    typer.echo(write_results(out, "serving", "How quick the server is", rows, remarks, more={"cold_seconds": cold}))


if __name__ == "__main__":
    typer.run(main)
