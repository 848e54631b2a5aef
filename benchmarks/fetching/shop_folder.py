"""A public set as the folder of a shop: ``items.csv``, ``interactions.csv`` and what is said about them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Taken:
    """Who took what: user, item and the time of the first time, in seconds since 1970."""

    user: str
    item: str
    time: float


def write_shop(folder: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]], taken: Sequence[Taken]) -> int:
    """Write ``items.csv`` and ``interactions.csv``; users are numbered. Return how many interactions there are."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {row["id"] for row in rows}
    numbers = {user: f"{number}" for number, user in enumerate(dict.fromkeys(own.user for own in taken), 1)}
    lines = [(numbers[own.user], own.item, _date(own.time)) for own in taken if own.item in known]
    _write(folder / "items.csv", columns, ([row[column] for column in columns] for row in rows))
    _write(folder / "interactions.csv", ("user_id", "item_id", "date"), lines)
    return len(lines)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(lines)
    part.replace(path)
