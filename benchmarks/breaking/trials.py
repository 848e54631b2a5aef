"""One trial of each kind of fault, and the check of an index against the truth: what is lost, doubled or wrong."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from running.drawings import Drawing, write_catalog
from running.stand_ins import MadeVectors

from breaking.child import Task
from vlm4rec_edge.encoding.text import DEFAULT_SHARE
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.store.reader import StoreReader

# A child that takes longer hangs.
_SECONDS = 300
# What verify may find after a kill and before the resume: work that is not done yet, and says so.
_UNFINISHED = ("have no vector yet", "HNSW file is missing", "its first run has just begun")


@dataclass(frozen=True)
class Catalog:
    """A catalog of drawings: its table, and the caption of each photo (sha256 to caption) in a file."""

    table: Path
    recording: Path


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code (negative: a signal), its JSON, stderr, whether we killed it, seconds it worked."""

    code: int
    answer: dict[str, Any]
    said: str
    was_killed: bool
    seconds: float


def make_catalog(folder: Path, drawings: Sequence[Drawing], *, twins: int = 0) -> Catalog:
    """Draw a catalog; ``twins`` items more show a photo that another shows already."""
    table = write_catalog(folder, drawings)
    with table.open("a", encoding="utf-8", newline="") as stream:
        for drawing in drawings[:twins]:
            image = f"images/{drawing.item_id}.jpg"
            values = drawing.attributes.values()
            csv.writer(stream).writerow((f"twin-{drawing.item_id}", image, drawing.title, *values))
    captions = {
        _sha256(folder / f"images/{drawing.item_id}.jpg"): f"{drawing.title} of a shop, number {drawing.seed}."
        for drawing in drawings
    }
    recording = folder / "captions.json"
    recording.write_text(json.dumps(captions), encoding="utf-8")
    return Catalog(table, recording)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_child(task: Task, *, kill_after: float | None = None, meanwhile: Callable[[], None] | None = None) -> Ended:
    """Run a child to its end, or ``kill -9`` it so many seconds after it began its work."""
    with subprocess.Popen(
        task.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # BEGIN
        started = time.monotonic()
        was_killed = False
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
                was_killed = True
        if meanwhile is not None:
            meanwhile()
        out, said = process.communicate(timeout=_SECONDS)
        seconds = time.monotonic() - started
    lines = out.strip().splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Ended(process.returncode, answer, said, was_killed and process.returncode == -9, seconds)


def captions_made(log: Path) -> Counter[str]:
    """Return how often each caption was made."""
    return Counter(log.read_text(encoding="utf-8").split()) if log.exists() else Counter()


def captions_lost(task: Task) -> int:
    """Return how many captions were made and are not in the store: what a kill has cost, to be made again."""
    database = Path(task.out) / "store.sqlite"
    stored: set[str] = set()
    if database.exists():
        with closing(sqlite3.connect(database)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'captions'").fetchone()[0]:
                stored = {key for (key,) in connection.execute("SELECT key FROM captions")}
    return len(set(captions_made(Path(task.log))) - stored)


def damage_after_kill(index: Path) -> list[str]:
    """Return what verify finds in an index whose writer was killed, work not done yet left out."""
    if not (index / "store.sqlite").exists():
        return []
    findings = [finding.problem for finding in IndexFolder(index).verify().findings]
    return [problem for problem in findings if not any(words in problem for words in _UNFINISHED)]


@dataclass(frozen=True)
class Truth:
    """An index against its catalog: items that are missing, there twice, or not what they should be; and verify."""

    lost: int
    doubled: int
    wrong: int
    findings: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost, doubled or wrong and verify is clean."""
        return not (self.lost or self.doubled or self.wrong or self.findings)


def truth_of(task: Task) -> Truth:
    """Compare a finished index with its catalog, item by item: caption, title, and the vector of both."""
    with Path(task.catalog).open(encoding="utf-8", newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    captions = json.loads(Path(task.recording).read_text(encoding="utf-8")) if task.recording else None
    wrong = 0
    with StoreReader(task.out) as store, MadeVectors(version=task.encoder) as encoder:
        found = Counter(item.id for item in store.items())
        for item in store.items():
            row = rows.get(item.id)
            if row is None or item.title != row["title"]:
                wrong += 1
            elif captions is not None:
                caption = captions[_sha256(Path(task.catalog).parent / row["image"])]
                title, said = encoder.encode([row["title"], caption]).astype(np.float64)
                total = DEFAULT_SHARE * title + (1 - DEFAULT_SHARE) * said
                vector = (total / np.linalg.norm(total)).astype(np.float32)
                wrong += item.caption != caption or not np.array_equal(store.vectors[item.row], vector)
    findings = tuple(f"{finding.file}: {finding.problem}" for finding in IndexFolder(task.out).verify().findings)
    lost = sum(item_id not in found for item_id in rows)
    return Truth(lost, sum(count - 1 for count in found.values()), int(wrong), findings)


def damaged_copy(task: Task, into: Path, name: str, kind: str, chance: random.Random) -> Task:
    """Copy an index and damage one file of the copy: a byte flipped, or its end torn off."""
    out = shutil.copytree(task.out, into)
    path = out / name
    content = bytearray(path.read_bytes())
    if not content:  # the lock file: it has no bytes to flip, so it gets some
        content = bytearray(chance.randbytes(100))
    elif kind == "flip":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        del content[chance.randrange(len(content)) :]
    path.write_bytes(content)
    log = into.with_suffix(".log")
    shutil.copyfile(task.log, log)
    return replace(task, do="repair", out=str(out), log=str(log), seconds_a_caption=0.0)
