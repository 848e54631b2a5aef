"""A catalog with everything that can be odd in one, stand-ins for the models, and what an index of it holds."""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_plugins import MadeCaptioner, MadeEncoder, said

from vlm4rec_edge import Captioned, CaptionRequest, Failure
from vlm4rec_edge.encoding.text import EncodedText
from vlm4rec_edge.indexing.report import IndexReport
from vlm4rec_edge.shards.making import Models
from vlm4rec_edge.store.reader import StoreReader

UNLIKED = b"unlike any photo"
Held = dict[str, Any]


class LoggingCaptioner(MadeCaptioner):
    """Names a photo by its hash, and notes in a file, forced to disk, that it did; there is one photo that it cannot name."""

    def __init__(self, log: Path, seconds: float = 0.0, **members: Any) -> None:
        super().__init__(**members)
        self._log, self._seconds = log, seconds

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Return an answer to each photo."""
        for request in photos:
            time.sleep(self._seconds)
            with self._log.open("a", encoding="utf-8") as stream:
                stream.write(request.key + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            unliked = request.photo.content.startswith(UNLIKED)
            yield Failure(request.key, "grounding", "It is unlike any photo.") if unliked else said(request)


def captions_made(log: Path) -> Counter[str]:
    """Return how often each caption was made."""
    return Counter(log.read_text(encoding="utf-8").split()) if log.exists() else Counter()


def models(log: Path, seconds: float = 0.0, kind: str = "weighted:0.9", **members: Any) -> Models:
    """Return stand-ins for the models."""
    return Models(LoggingCaptioner(log, seconds, **members), MadeEncoder(), EncodedText(kind))


def write_photo(path: Path, content: bytes) -> Path:
    """Write what counts as a photo here: its bytes are all that anybody looks at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def odd_catalog(folder: Path, items: int = 60) -> Path:
    """Write a table with further photos, twins, duplicate ids near and far, missing and unlikeable photos, rows without id."""
    rows = []
    for number in range(items):
        write_photo(folder / f"images/{number}.jpg", b"photo %d" % (number % (items - 5)))  # the last five are twins
        rows.append([f"item-{number}", f"images/{number}.jpg", f"Title {number}", f"{number % 7}", "x" * (number % 3)])
    write_photo(folder / "images/second.jpg", b"a second view")
    write_photo(folder / "images/unliked.jpg", UNLIKED)
    rows[3][1] = "images/3.jpg, images/second.jpg"
    rows[4][1] = "images/4.jpg, images/gone.jpg"
    rows[5][1] = "images/gone.jpg"
    rows[6][1] = "images/unliked.jpg"
    rows[7][0] = ""
    rows[8][0] = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    rows[9][2] = ""
    rows[10][1] = "../outside.jpg"
    rows += [
        ["item-0", "images/1.jpg", "Again", "1", ""],  # of an id whose first row is used
        ["item-5", "images/2.jpg", "At last", "2", ""],  # of one whose first row has no photo
        ["cafe\N{COMBINING ACUTE ACCENT}", "images/2.jpg", "Once more", "2", ""],
        ["item-0", "images/gone.jpg", "And again", "3", ""],
    ]
    return write_table(folder / "items.csv", rows)


def write_table(path: Path, rows: list[list[str]]) -> Path:
    """Write a table of rows with id, image, title, price and a column that is often empty."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["id", "image", "title", "price", "sparse"], *rows])
    return path


def plain_catalog(folder: Path, items: int) -> Path:
    """Write a table of items of which nothing is odd."""
    for number in range(items):
        write_photo(folder / f"images/{number}.jpg", b"photo %d" % number)
    return write_table(
        folder / "items.csv", [[f"item-{n}", f"images/{n}.jpg", f"Title {n}", str(n % 7), ""] for n in range(items)]
    )


def held_by(index: Path) -> Held:
    """Return what an index holds, in an order of its own: items, their captions, failures, and what made it."""
    with StoreReader(index) as store:
        items = {item.id: replace(item, row=0) for item in store.items()}
        captions = sorted(
            store.query("SELECT key, image_sha256, grounding, question, text, coalesce(fields, '') FROM captions")
        )
        failures = sorted((one.where, one.stage, one.reason) for one in store.failures())
        told = {
            name: store.meta.get(name)
            for name in ("grounding", "encoder", "encoded_text", "dimensions", "photo_vectors", "catalog_columns")
        }
        made = store.provenance("groundings"), store.provenance("encoders")
    return {"items": items, "captions": captions, "failures": failures, "meta": told, "made": made}


def vectors_of_items(index: Path) -> dict[str, np.ndarray]:
    """Return the vector of each item."""
    with StoreReader(index) as store:
        return {item.id: np.array(store.vectors[item.row]) for item in store.items()}


def assert_equal(index: Path, other: Path) -> None:
    """Check that two indexes hold the same: ids, captions and failures exactly, vectors to 1e-5."""
    assert held_by(index) == held_by(other)
    first, second = vectors_of_items(index), vectors_of_items(other)
    assert all(np.allclose(first[name], second[name], atol=1e-5) for name in first)


def made(report: IndexReport) -> tuple[int, int]:
    """Return how many captions and vectors a run made."""
    return report.progress.captioned, report.progress.encoded
