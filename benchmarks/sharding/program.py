"""The program on made catalogs: in fresh processes, measured, with the stand-ins on their path."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running.fresh_process import memory_of, run_process

_COMMAND = [sys.executable, "-c", "from vlm4rec_edge.cli import main; main()"]
_FILES_A_FOLDER = 1000
_SAMPLE_SECONDS = 0.5
MODELS = ("--encoder", "made-vectors")


def made_catalog(folder: Path, items: int) -> Path:
    """Make a table of so many items, each with a file of its own that stands for a photo, unless it is there."""
    table = folder / f"items-{items}.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    part = table.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "image", "title", "price", "audience"])
        for number in range(items):
            image = f"photos/{number // _FILES_A_FOLDER:05}/{number}.jpg"
            if number % _FILES_A_FOLDER == 0:
                (folder / image).parent.mkdir(parents=True, exist_ok=True)
            if not (folder / image).exists():
                (folder / image).write_bytes(b"stands for photo %d" % number)
            audience = ("Menswear", "Ladieswear", "Kids", "Sport")[number % 4]
            writer.writerow(
                [f"item-{number}", image, f"kind-{number % 2000} product {number}", 5 + number % 100, audience]
            )
    part.rename(table)
    return table


def shard(*words: object) -> list[str]:
    """Return the command line of ``vlm4rec-edge shard``."""
    return [*_COMMAND, "shard", *map(str, words)]


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command to its end; return its seconds, the peak of its memory in MB, and the document that it printed."""
    done = run_process([*command, "--json"])
    return {"seconds": done.seconds, "peak_mb": done.peak_mb, "said": json.loads(done.said)}


def answered(place: Path | str, items: int) -> dict[str, Any]:
    """Ask an index, or a table by its address, for recommendations in a fresh process."""
    words = ["recommend", str(place), "--history", f"item-0,item-{items // 2}", "-k", "10"]
    return measured([*_COMMAND, *words])


def side_by_side(command: list[str], count: int) -> float:
    """Run a command in several processes at once, and return the seconds until all have ended."""
    started = time.perf_counter()
    processes = [subprocess.Popen([*command, "--json"], stdout=subprocess.DEVNULL) for _ in range(count)]
    codes = [process.wait() for process in processes]
    if not set(codes) <= {0, 3}:  # 3: the other one has the last shards
        raise SystemExit(f"{' '.join(command[3:])} ended with the codes {codes}.")
    return time.perf_counter() - started


def bytes_in(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def watched_memory(name: str) -> Iterator[list[float]]:
    """Note again and again how much memory, in MB, the processes have together whose command line holds a word."""
    noted: list[float] = []
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(_SAMPLE_SECONDS):
            noted.append(sum(map(_own_memory, _processes(name))))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield noted
    finally:
        stopped.set()
        thread.join()


def _processes(name: str) -> Iterator[int]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if name.encode() in (place / "cmdline").read_bytes() and int(place.name) != os.getpid():
                yield int(place.name)
        except OSError:  # it has ended
            continue


def _own_memory(process: int) -> float:
    try:
        return memory_of(process).get("RssAnon", 0.0)
    except OSError:
        return 0.0
