"""The photos and words that the model learns from: a shop's catalog and this project's own drawings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from photos import KEPT, decode_photos
from rows import part_rows, photo_path, read_rows, row_of_drawing
from teachers import teacher_features, text_vectors
from tower import HEAD_WEIGHTS, SIDE, UNKNOWN
from words import Words, words_of

from vlm4rec_edge.demo.drawings.catalog import Drawing, catalog_of_drawings, draw

# The demo draws with seed 0, and evaluation with seed 9.
DRAWING_SEED = 1
_DRAWN_AT = (192, 288)


@dataclass(frozen=True)
class World:
    """Photos [n, 144, 96, 3], what is true of each, and what the teachers say; ``train`` and ``held_out`` are row numbers.

    ``labels`` holds per head [n], ``UNKNOWN`` where an item has none; ``classes`` the names behind the numbers.
    """

    photos: Sequence[np.ndarray]
    words: list[Words]
    classes: dict[str, list[str]]
    labels: dict[str, torch.Tensor]
    maps: Sequence[np.ndarray]
    map_spread: torch.Tensor
    pools: torch.Tensor
    texts: torch.Tensor
    train: np.ndarray
    held_out: np.ndarray

    def photos_at(self, rows: np.ndarray) -> np.ndarray:
        """Return photos [n, 144, 96, 3] of row numbers."""
        return _at(self.photos, rows)

    def maps_at(self, rows: np.ndarray) -> torch.Tensor:
        """Return the teacher's maps [n, 112, 8, 8] of row numbers, each channel of unit spread."""
        return torch.from_numpy(_at(self.maps, rows)).float() / self.map_spread


def build_world(catalog: Path, cache: Path, drawings_a_kind: int) -> World:
    """Read a folder with items.csv and its photos, draw the drawings, and ask the teachers; all of it is kept in ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    rows = read_rows(catalog)
    drawn = catalog_of_drawings(drawings_a_kind, seed=DRAWING_SEED)
    shop_photos = decode_photos([photo_path(catalog, row["image"]) for row in rows], cache / "shop.npy")
    drawn_photos = _draw_all(drawn, cache / "drawn.npy")
    entries = rows + [row_of_drawing(drawing) for drawing in drawn]
    words = [words_of(row) for row in entries]
    classes = {head: sorted({row[head] for row in rows}) for head in HEAD_WEIGHTS}
    labels = {head: _numbers(names, [row.get(head, "") for row in entries]) for head, names in classes.items()}
    shop_maps, shop_pools = teacher_features(shop_photos, cache, "shop", SIDE)
    drawn_maps, drawn_pools = teacher_features(drawn_photos, cache, "drawn", SIDE)
    pools = torch.from_numpy(np.concatenate([shop_pools, drawn_pools])).float()
    train, held_out = part_rows(len(rows))
    return World(
        photos=(shop_photos, drawn_photos),
        words=words,
        classes=classes,
        labels=labels,
        maps=(shop_maps, drawn_maps),
        map_spread=torch.from_numpy(np.array(shop_maps[:512])).float().std((0, 2, 3), keepdim=True) + 1e-3,
        pools=(pools - pools.mean(0)) / (pools.std(0) + 1e-3),
        texts=torch.from_numpy(text_vectors([each.sentence() for each in words], cache / "texts.npy")),
        train=np.concatenate([train, np.arange(len(rows), len(entries))]),
        held_out=held_out,
    )


def _numbers(names: list[str], values: list[str]) -> torch.Tensor:
    number = {name: at for at, name in enumerate(names)}
    return torch.tensor([number.get(value, UNKNOWN) for value in values])


def _draw_all(drawings: list[Drawing], cache: Path) -> np.ndarray:
    if not cache.is_file():
        with ProcessPoolExecutor() as pool:
            pictures = []
            for number, picture in enumerate(pool.map(_draw_one, drawings, chunksize=20)):
                pictures.append(picture)
                if number % 500 == 0:
                    print(f"  drew {number} of {len(drawings)} pictures", flush=True)
        np.save(cache, np.stack(pictures))
    return np.load(cache, mmap_mode="r")


def _draw_one(drawing: Drawing) -> np.ndarray:
    from PIL import Image

    return np.asarray(draw(drawing, _DRAWN_AT).resize(KEPT, Image.Resampling.LANCZOS))


def shuffled_rows(rows: np.ndarray, epoch: int, seed: int) -> np.ndarray:
    """Return the rows in the order of one epoch; the same for the same seed."""
    order = list(range(len(rows)))
    random.Random(f"{seed} {epoch}").shuffle(order)
    return rows[order]


def _at(parts: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return rows of several arrays laid end to end."""
    first = len(parts[0])
    found = np.empty((len(rows), *parts[0].shape[1:]), parts[0].dtype)
    early = rows < first
    found[early], found[~early] = parts[0][rows[early]], parts[1][rows[~early] - first]
    return found
