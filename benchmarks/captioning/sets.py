"""Sets of photos with what is true of each: held-out products, a shop, another shop, and drawings never trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from drawings import Drawing, Facts, catalog_of_drawings, write_catalog
from rows import part_rows, photo_path, read_rows, row_of_drawing
from words import words_of

from captioning.groups import (
    ARTICLES_WITHOUT_GROUP,
    AUDIENCES_OF_GENDER,
    FAMILIES_OF_BASE_COLOUR,
    GROUP_OF_ARTICLE,
    GROUP_OF_TYPE,
)
from captioning.reading import COLUMNS, Said, women_as_one

# The training draws with seed 1, the demo with seed 0.
DRAWINGS_SEED = 9
_SAMPLE_SEED = 0
_ROOM_AROUND = 1.2
# What a catalog says where it knows nothing: no truth to be right about.
_NO_TRUTH = frozenset({"", "Unknown"})

Truth = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Case:
    """One photo; ``truth`` holds for each scored column all values that are right, none where nothing is known.

    ``description`` is the shop's own text, ``sentence`` what the training would have the model say; either may be empty.
    ``facts`` are what a drawing shows; None for photos.
    """

    item_id: str
    photo: Path
    truth: Truth
    description: str = ""
    sentence: str = ""
    facts: Facts | None = None


@dataclass(frozen=True)
class PhotoSet:
    """Photos to caption: the name in tables, and remarks on what was left out."""

    name: str
    cases: Sequence[Case]
    remarks: Sequence[str] = field(default=())
    jeans_apart: bool = False

    def columns(self, said: Said) -> Mapping[str, str]:
        """Return what a caption says in the columns and values of this set's truth."""
        if self.jeans_apart and (said.kind, said.pattern) == ("Trousers", "Denim"):
            return {**said.columns, "kind": "Jeans"}
        return said.columns

    def sample(self, count: int) -> PhotoSet:
        """Return ``count`` photos of it, the same ones every time, under a name that says so."""
        if count >= len(self.cases):
            return self
        chosen = np.sort(np.random.default_rng(_SAMPLE_SEED).permutation(len(self.cases))[:count])
        name = f"{self.name} (sample of {count} from {len(self.cases):,})"
        return PhotoSet(name, [self.cases[at] for at in chosen], self.remarks, self.jeans_apart)


def held_out_set(catalog: Path) -> PhotoSet:
    """Return the products of a training catalog that the training never saw."""
    rows = read_rows(catalog)
    return _with_photos("held-out", [case_of_row(rows[at], catalog) for at in part_rows(len(rows))[1]])


def framed_set(photos: PhotoSet, folder: Path) -> PhotoSet:
    """Show a set's photos as a shop with square photos would: in the middle of a white square, with room around.

    They are written into ``folder``. What is true of them stays true, so what changes is due to the frame alone.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for case in photos.cases:
        path = folder / f"{case.item_id}-{case.photo.stat().st_size}.png"
        if not path.is_file():
            with Image.open(case.photo) as opened:
                photo = opened.convert("RGB")
            side = round(max(photo.size) * _ROOM_AROUND)
            square = Image.new("RGB", (side, side), "white")
            square.paste(photo, ((side - photo.width) // 2, (side - photo.height) // 2))
            square.save(path)
        cases.append(replace(case, photo=path))
    return PhotoSet(f"{photos.name}-framed", cases, [f"{photos.name}-framed: in a white square, with room around."])


def shop_set(catalog: Path) -> PhotoSet:
    """Return all products of a catalog with the training catalog's columns."""
    return _with_photos("shop", [case_of_row(row, catalog) for row in read_rows(catalog)])


def other_shop_set(catalog: Path) -> PhotoSet:
    """Return all products of a catalog with a second shop's columns (gender, articleType, baseColour)."""
    rows = read_rows(catalog)
    apart = Counter(row["articleType"] for row in rows if row["articleType"] not in GROUP_OF_ARTICLE)
    names = ", ".join(
        f"{name} {count}{'' if name in ARTICLES_WITHOUT_GROUP else ' (not in the table)'}"
        for name, count in sorted(apart.items())
    )
    photos = _with_photos("other-shop", [_case_of_other_shop(row, catalog) for row in rows])
    remark = f"other-shop: {apart.total()} of {len(rows):,} items are of kinds that our captions have no word for"
    remarks = (
        [*photos.remarks, f"{remark} and are left out of the group's share ({names})."] if apart else photos.remarks
    )
    return PhotoSet(photos.name, photos.cases, remarks)


def drawings_set(count_per_kind: int, folder: Path, families: Mapping[str, str]) -> PhotoSet:
    """Draw pictures that no training drew, into ``folder``, and return them; ``families`` has the family of each colour."""
    drawings = catalog_of_drawings(count_per_kind, seed=DRAWINGS_SEED)
    write_catalog(folder, drawings)  # every time: how they are drawn may have changed
    cases = [_case_of_drawing(drawing, folder, families) for drawing in drawings]
    return PhotoSet("drawings", cases, jeans_apart=True)


def truth_of_row(row: Mapping[str, str]) -> Truth:
    """Return what is true of a row with the training catalog's columns."""
    audience = row["audience"]
    values = {
        "kind": row["type"],
        "group": GROUP_OF_TYPE.get(row["type"], ""),
        "colour": row["colour"],
        "colour family": row.get("colour_family", ""),
        "pattern": row["appearance"],
        "audience": audience,
        "audience, women as one": women_as_one(audience),
    }
    return {column: frozenset({values[column]}) - _NO_TRUTH for column in COLUMNS}


def case_of_row(row: Mapping[str, str], catalog: Path) -> Case:
    """Return a row with the training catalog's columns as a case."""
    return Case(
        item_id=row["id"],
        photo=photo_path(catalog, row["image"]),
        truth=truth_of_row(row),
        description=row["description"],
        sentence=words_of(row).sentence(),
    )


def _case_of_other_shop(row: Mapping[str, str], catalog: Path) -> Case:
    audiences = AUDIENCES_OF_GENDER.get(row["gender"], ())
    truth = dict.fromkeys(COLUMNS, frozenset[str]()) | {
        "group": frozenset({GROUP_OF_ARTICLE.get(row["articleType"], "")}) - _NO_TRUTH,
        "colour family": frozenset(FAMILIES_OF_BASE_COLOUR.get(row["baseColour"], ())),
        # This shop does not tell young women from women, so only the joint column can be scored.
        "audience, women as one": frozenset(women_as_one(audience) for audience in audiences),
    }
    return Case(row["id"], photo_path(catalog, row["image"]), truth)


# More than one word of ours is right for what was drawn.
_DRAWN_KINDS_TOO: Mapping[str, frozenset[str]] = {
    "jeans": frozenset({"Jeans"}),
    "trousers": frozenset({"Trousers", "Jeans"}),
    "beanie": frozenset({"Hat/beanie", "Beanie"}),
    "cap": frozenset({"Cap/peaked", "Cap"}),
    "boots": frozenset({"Boots", "Bootie"}),
    "hiking-boots": frozenset({"Boots", "Bootie"}),
    "backpack": frozenset({"Bag", "Backpack"}),
    "heels": frozenset({"Pumps", "Heels"}),
    "sun-hat": frozenset({"Hat/brim", "Straw hat"}),
}


def _case_of_drawing(drawing: Drawing, folder: Path, families: Mapping[str, str]) -> Case:
    row = row_of_drawing(drawing)
    row["colour_family"] = families.get(row["colour"], "")
    truth = dict(truth_of_row(row))
    truth["kind"] = _DRAWN_KINDS_TOO.get(drawing.kind, truth["kind"])
    return Case(
        item_id=drawing.item_id,
        photo=folder / "images" / f"{drawing.item_id}.jpg",
        truth=truth,
        sentence=words_of(row).sentence(),
        facts=drawing.facts,
    )


def _with_photos(name: str, cases: Iterable[Case]) -> PhotoSet:
    cases = list(cases)
    there = [case for case in cases if case.photo.is_file()]
    missing = len(cases) - len(there)
    return PhotoSet(name, there, [f"{name}: {missing} items have no photo and are left out."] if missing else [])
