"""Garments of the catalog on drawn people: other shops photograph clothes worn, in a square, and the catalog hardly does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from photos import KEPT
from PIL import Image, ImageDraw, ImageFilter

# Where on a body a type belongs; other types are not worn by drawn people.
_OUTER = ("Blazer", "Cardigan", "Coat", "Hoodie", "Jacket", "Outdoor Waistcoat", "Sweater")
_UPPER = frozenset([*_OUTER, "Blouse", "Bodysuit", "Polo shirt", "Shirt", "T-shirt", "Top", "Vest top"])
_WHOLE = frozenset(["Dress", "Dungarees", "Jumpsuit/Playsuit"])
_LOWER = frozenset(["Leggings/Tights", "Outdoor trousers", "Shorts", "Skirt", "Trousers"])

_SQUARE = 144
_FINE = 2  # drawn so many times larger, then made smaller: smooth edges
_SKINS = ((246, 214, 190), (232, 190, 160), (214, 165, 130), (180, 125, 92), (135, 90, 64), (92, 60, 44))
_HAIRS = ((25, 20, 18), (40, 28, 22), (75, 48, 30), (120, 80, 45), (200, 165, 105), (110, 105, 100))
_CLOTHS = ((45, 60, 95), (70, 95, 140), (25, 25, 28), (60, 60, 64), (120, 110, 95), (235, 235, 235), (110, 40, 45))
_NEAR_BACKGROUND = 24  # sum of the differences of three channels, up to which a pixel belongs to the background


def wearable(rows: Sequence[dict[str, str]], numbers: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` of the row numbers whose type is worn on a body, two thirds of them on its upper half."""
    chance = random.Random("worn")
    chosen: list[int] = []
    for zone, share in ((_UPPER, 0.66), (_WHOLE, 0.17), (_LOWER, 0.17)):
        fitting = [int(number) for number in numbers if rows[number]["type"] in zone]
        chosen += chance.sample(fitting, min(round(share * count), len(fitting)))
    return np.array(sorted(chosen), np.int64)


def dress_people(
    photos: np.ndarray, rows: Sequence[dict[str, str]], numbers: np.ndarray, cache: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures [m, 144, 96, 3], uint8, and whose they are [m]; made into ``cache`` unless they are there.

    Each is a square picture of a person who wears the garment of a photo, squeezed to the shape in which photos are kept. A
    photo on which the garment does not stand clear of its background gives none, so that m may be less than n.

    Args:
        photos: [rows, 144, 96, 3].
        rows: Rows of an ``items.csv``.
        numbers: [n], of the rows to dress people with.
        cache: An ``.npz`` file.
    """
    if not cache.is_file():
        with ProcessPoolExecutor() as pool:
            tasks = ((photos[number], rows[number]["type"], int(number)) for number in numbers)
            pictures = list(pool.map(_dress_one, tasks, chunksize=50))
        kept = [at for at, picture in enumerate(pictures) if picture is not None]
        made = [picture for picture in pictures if picture is not None]
        stacked = np.stack(made) if made else np.zeros((0, KEPT[1], KEPT[0], 3), np.uint8)
        part = cache.with_suffix(".part.npz")
        np.savez(part, pictures=stacked, numbers=numbers[kept])
        part.replace(cache)
        print(f"  dressed people in {len(kept)} of {len(numbers)} garments", flush=True)
    with np.load(cache) as stored:
        return stored["pictures"], stored["numbers"]


def _dress_one(task: tuple[np.ndarray, str, int]) -> np.ndarray | None:
    photo, kind, number = task
    cut = cut_out(Image.fromarray(photo))
    if cut is None:
        return None
    square = draw_worn(cut, kind, random.Random(f"person {number}"))
    return np.asarray(square.resize(KEPT, Image.Resampling.LANCZOS))


def cut_out(photo: Image.Image) -> Image.Image | None:
    """Return the garment of a photo without its background (RGBA), or None if it does not stand clear of it."""
    width, height = photo.size
    filled = photo.copy()
    marker = (255, 0, 254)
    corners = ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1))
    for corner in corners:
        if filled.getpixel(corner) != marker:
            ImageDraw.floodfill(filled, corner, marker, thresh=_NEAR_BACKGROUND)
    clear = np.all(np.asarray(filled) == marker, axis=2)
    mask = Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))
    box = mask.getbbox()
    area = 1 - float(clear.mean())
    if box is None or not 0.1 < area < 0.75:
        return None
    left, top, right, bottom = box
    if left < 1 or top < 1 or right > width - 1 or bottom > height - 1:
        return None
    cut = photo.convert("RGBA")
    cut.putalpha(mask.filter(ImageFilter.MinFilter(3)))  # without the pale seam of the background
    return cut.crop(box)


def draw_worn(garment: Image.Image, kind: str, chance: random.Random) -> Image.Image:
    """Return a square picture of a person in a garment, of which the rest of the body and other clothes are drawn.

    Args:
        garment: RGBA.
        kind: A type of ``items.csv``.
        chance: Decides build, place, skin, hair and the other clothes.
    """
    side = _SQUARE * _FINE
    between = chance.uniform
    grey = between(175, 245)
    ground = chance.choice([(255, 255, 255)] * 3 + [tuple(round(grey + between(-12, 12)) for _ in range(3))])
    picture = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(picture)
    skin, hair = chance.choice(_SKINS), chance.choice(_HAIRS)
    cloth = tuple(max(0, min(255, round(value + between(-25, 25)))) for value in chance.choice(_CLOTHS))

    tall = between(0.66, 0.8) if kind in _WHOLE else between(0.6, 0.78) if kind in _LOWER else between(0.48, 0.66)
    high = round(tall * side)
    wide = round(min(high * garment.width / garment.height * between(0.82, 1.0), 0.8 * side))
    worn = garment.resize((wide, high), Image.Resampling.BICUBIC)
    middle = side * between(0.45, 0.55)
    left = round(middle - wide / 2)
    head = side * between(0.1, 0.13)  # its width
    if kind in _LOWER:
        top = round(side * between(0.12, 0.3))
        body = side * between(0.24, 0.32)
        _limb(pen, skin, middle - body / 2, -0.1 * side, middle - body * 0.62, top + 0.25 * high, head * 0.4)
        _limb(pen, skin, middle + body / 2, -0.1 * side, middle + body * 0.62, top + 0.25 * high, head * 0.4)
        pen.rectangle((middle - body / 2, -1, middle + body / 2, top + 0.08 * high), fill=cloth)
        for leg in (-1, 1):  # what shorts and skirts leave bare
            foot = top + high + 0.1 * side
            _limb(pen, skin, middle + leg * wide * 0.2, top + 0.6 * high, middle + leg * wide * 0.2, foot, head * 0.5)
    else:
        top = round(head * 1.35 + side * between(0.0, 0.06))
        _hair(pen, hair, middle, top, head, long=chance.random() < 0.4)
        # Neck and face, the arms beside the body, and the legs below: the garment lies over all but the face.
        pen.rectangle((middle - head * 0.28, top - head * 0.5, middle + head * 0.28, top + head * 0.5), fill=skin)
        shoulder, hip = wide * between(0.3, 0.4), wide * between(0.32, 0.5)
        for arm in (-1, 1):
            hand = top + min(high * between(0.8, 1.0), 0.62 * side)
            _limb(pen, skin, middle + arm * shoulder, top + 0.2 * high, middle + arm * hip, hand, head * 0.36)
        leg_colour = skin if kind in _WHOLE else cloth
        for leg in (-1, 1):
            x, thick = middle + leg * wide * between(0.13, 0.18), wide * between(0.24, 0.32)
            _limb(pen, leg_colour, x, top + 0.75 * high, x + leg * between(0, 0.02) * side, 1.1 * side, thick)
    picture.paste(worn.convert("RGB"), (left, top), worn.getchannel("A"))
    if kind not in _LOWER:
        pen.ellipse((middle - head / 2, top - head * 1.25, middle + head / 2, top + head * 0.1), fill=skin)
        fringe = top - head * between(0.85, 1.0)
        pen.chord(
            (middle - head * 0.53, top - head * 1.3, middle + head * 0.53, fringe + head * 0.5), 180, 360, fill=hair
        )
    return picture.resize((_SQUARE, _SQUARE), Image.Resampling.LANCZOS)


def _hair(
    pen: ImageDraw.ImageDraw, colour: tuple[int, int, int], x: float, top: float, head: float, *, long: bool
) -> None:
    """Draw what of the hair lies behind the face."""
    pen.ellipse((x - head * 0.58, top - head * 1.35, x + head * 0.58, top + head * 0.05), fill=colour)
    if long:
        pen.rounded_rectangle(
            (x - head * 0.62, top - head * 0.8, x + head * 0.62, top + head * 0.7), head * 0.3, fill=colour
        )


def _limb(
    pen: ImageDraw.ImageDraw,
    colour: tuple[int, ...],
    from_x: float,
    from_y: float,
    to_x: float,
    to_y: float,
    thick: float,
) -> None:
    pen.line((from_x, from_y, to_x, to_y), fill=colour, width=max(round(thick), 1))
    for x, y in ((from_x, from_y), (to_x, to_y)):
        pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)
