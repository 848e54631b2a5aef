"""The photos and words that the model learns from: a shop's catalog, some of its clothes worn, and our own drawings."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from drawings import Drawing, catalog_of_drawings, draw
from journal import save_array
from opinions import features_of, second_opinions
from photos import KEPT, decode_photos
from rows import part_rows, photo_path, read_rows, row_of_drawing
from teachers import teacher_features, text_vectors
from tower import HEAD_WEIGHTS, SIDE, UNKNOWN
from words import Words, words_of
from worn import dress_people, wearable

from vlm4rec_edge.errors import UsageError

# The demo draws with seed 0, and evaluation with seed 9.
DRAWING_SEED = 1
_DRAWN_AT = (192, 288)
# So many garments are tried on drawn people; somewhat fewer than half stand clear enough of their background.
_WORN = 16_000
_DRAWINGS_AGAIN = 3


@dataclass(frozen=True)
class Pictures:
    """Photos [n, 144, 96, 3] and what to say of each; ``train`` and ``held_out`` are row numbers.

    ``train`` may have a row more than once. ``known`` [n] is whether a model to be taught further learned from it before.
    """

    photos: Sequence[np.ndarray]
    words: list[Words]
    train: np.ndarray
    held_out: np.ndarray
    known: np.ndarray

    def photos_at(self, rows: np.ndarray) -> np.ndarray:
        """Return photos [n, 144, 96, 3] of row numbers."""
        return _at(self.photos, rows)


@dataclass(frozen=True)
class World(Pictures):
    """Pictures, what is true of each, and what the teachers say.

    ``labels`` holds per head [n], ``UNKNOWN`` where an item has none; ``classes`` the names behind the numbers;
    ``opinions`` the chances [n, classes] that a second judge gives them, for most heads.
    """

    classes: dict[str, list[str]]
    labels: dict[str, torch.Tensor]
    opinions: dict[str, torch.Tensor]
    maps: Sequence[np.ndarray]
    map_spread: torch.Tensor
    pools: torch.Tensor
    texts: torch.Tensor

    def maps_at(self, rows: np.ndarray) -> torch.Tensor:
        """Return the teacher's maps [n, 112, 8, 8] of row numbers, each channel of unit spread."""
        return torch.from_numpy(_at(self.maps, rows)).float() / self.map_spread


def build_world(catalog: Path, cache: Path, drawings_a_kind: int) -> World:
    """Read a folder with items.csv and its photos, draw what is drawn, and ask the teachers; all of it is kept in ``cache``.

    First come the rows of the catalog, then the drawings, then those rows to learn from that people are dressed in.

    Raises:
        UsageError: a photo or a column is missing, or ``cache`` is of another catalog or another number of drawings.
    """
    rows, drawn, shop_photos, drawn_photos = _read(catalog, cache, drawings_a_kind)
    entries = rows + [row_of_drawing(drawing) for drawing in drawn]
    words = [words_of(row) for row in entries]
    # An empty cell is no class of its own; nothing is learned from it.
    classes = {head: sorted({row[head] for row in rows} - {""}) for head in HEAD_WEIGHTS}
    labels = {head: _numbers(names, [row.get(head, "") for row in entries]) for head, names in classes.items()}
    shop_maps, shop_pools = teacher_features(shop_photos, cache, "shop", SIDE)
    drawn_maps, drawn_pools = teacher_features(drawn_photos, cache, "drawn", SIDE)
    pools = torch.from_numpy(np.concatenate([shop_pools, drawn_pools])).float()
    mean, spread = pools.mean(0), pools.std(0) + 1e-3
    pools = (pools - mean) / spread
    shop_train, held_out = part_rows(len(rows))
    train = np.concatenate([shop_train, np.arange(len(rows), len(entries))])
    features = features_of((shop_maps, drawn_maps), pools)
    opinions = second_opinions(features, labels, train, cache / "opinions.pt")
    texts = torch.from_numpy(text_vectors([each.sentence() for each in words], cache / "texts.npy"))
    # A garment stays what it is when somebody wears it; only what the convolutional teacher sees is another picture.
    wanted = wearable(rows, shop_train, _WORN)
    worn_photos, worn = dress_people(shop_photos, rows, wanted, cache / "worn.npz")
    worn_maps, worn_pools = teacher_features(worn_photos, cache, "worn", SIDE)
    again = np.concatenate([np.arange(len(entries)), worn])
    return World(
        photos=(shop_photos, drawn_photos, worn_photos),
        words=[words[row] for row in again],
        classes=classes,
        labels={head: numbers[again] for head, numbers in labels.items()},
        opinions={head: chances[again] for head, chances in opinions.items()},
        maps=(shop_maps, drawn_maps, worn_maps),
        map_spread=torch.from_numpy(np.array(shop_maps[:512])).float().std((0, 2, 3), keepdim=True) + 1e-3,
        pools=torch.cat([pools, (torch.from_numpy(worn_pools).float() - mean) / spread]),
        texts=texts[again],
        train=np.concatenate([train, np.arange(len(entries), len(again))]),
        held_out=held_out,
        known=np.zeros(len(again), bool),
    )


def build_pictures(catalog: Path, cache: Path, drawings_a_kind: int) -> Pictures:
    """Return what ``build_world`` does without the teachers, for a model that sees already; kept in ``cache``, too.

    A shop's photos stand once in ``train``, drawings several times: they are few, and new to the model in words or kind.

    Raises:
        UsageError: as ``build_world``.
    """
    rows, drawn, shop_photos, drawn_photos = _read(catalog, cache, drawings_a_kind)
    words = [words_of(row) for row in rows + [row_of_drawing(drawing) for drawing in drawn]]
    shop_train, held_out = part_rows(len(rows))
    worn_photos, worn = dress_people(shop_photos, rows, wearable(rows, shop_train, _WORN), cache / "worn.npz")
    end = len(words) + len(worn)
    known: np.ndarray = np.ones(end, bool)
    known[len(rows) : len(words)] = False
    drawings = np.tile(np.arange(len(rows), len(words)), _DRAWINGS_AGAIN)
    return Pictures(
        photos=(shop_photos, drawn_photos, worn_photos),
        words=words + [words[row] for row in worn],
        train=np.concatenate([shop_train, drawings, np.arange(len(words), end)]),
        held_out=held_out,
        known=known,
    )


def _read(
    catalog: Path, cache: Path, drawings_a_kind: int
) -> tuple[list[dict[str, str]], list[Drawing], np.ndarray, np.ndarray]:
    """Return rows, drawings, and the photos of both."""
    cache.mkdir(parents=True, exist_ok=True)
    rows = read_rows(catalog)
    _check_columns(catalog, rows)
    paths = [photo_path(catalog, row["image"]) for row in rows]
    _check_cache(cache, catalog, paths, drawings_a_kind)
    drawn = catalog_of_drawings(drawings_a_kind, seed=DRAWING_SEED)
    return rows, drawn, decode_photos(paths, cache / "shop.npy"), _draw_all(drawn, cache / "drawn.npy")


def _check_cache(cache: Path, catalog: Path, photos: Sequence[Path], drawings_a_kind: int) -> None:
    """Note what the cache is made of, or compare: all of it goes by row number, so it fits these very rows only."""
    try:
        sizes = [(path.name, path.stat().st_size) for path in photos]
    except OSError as error:
        raise UsageError(f"{error.filename}, a photo of items.csv, cannot be read: {error.strerror}.") from error
    made_of = hashlib.sha256((catalog / "items.csv").read_bytes())
    made_of.update(repr((sizes, drawings_a_kind, DRAWING_SEED, _WORN)).encode())
    noted = cache / "made-of.txt"
    if not noted.is_file():
        noted.write_text(made_of.hexdigest(), encoding="ascii")
    elif noted.read_text(encoding="ascii") != made_of.hexdigest():
        raise UsageError(
            f"{cache} is of another catalog, or of another number of drawings; give another --out, or remove that folder."
        )


def _check_columns(catalog: Path, rows: Sequence[Mapping[str, str]]) -> None:
    for column in ("image", "description", *HEAD_WEIGHTS):
        if not any(row.get(column) for row in rows):
            raise UsageError(f"{catalog / 'items.csv'} has no column {column}, or nothing in it; training needs it.")


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
        save_array(cache, np.stack(pictures))
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
    found = np.empty((len(rows), *parts[0].shape[1:]), parts[0].dtype)
    first = 0
    for part in parts:
        here = (rows >= first) & (rows < first + len(part))
        found[here] = part[rows[here] - first]
        first += len(part)
    return found
