"""A catalog of a few photos, and what an index of it holds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from vlm4rec_edge.indexing.report import IndexReport
from vlm4rec_edge.store.reader import StoredItem, StoreReader

PHOTOS = 6

Run = Callable[..., IndexReport]


def table_of(folder: Path, rows: Sequence[dict[str, str]], name: str = "items.csv") -> Path:
    path = folder / name
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(photos: Path, **columns: str) -> list[dict[str, str]]:
    names = sorted(path.name for path in photos.glob("*.png"))
    return [{"id": name[:-4], "image": name, **columns} for name in names]


def items_of(out: Path) -> dict[str, StoredItem]:
    with StoreReader(out) as store:
        return {item.id: item for item in store.items()}


def vectors_of(out: Path) -> dict[str, list[float]]:
    with StoreReader(out) as store:
        return {item.id: store.vectors[item.row].tolist() for item in store.items()}


def counts_of(report: IndexReport) -> tuple[int, int, int, int]:
    done = report.progress
    return done.captioned, done.reused, done.encoded, done.failed
