"""An item of several photos: a caption of each, one vector, all of them shown, and none lost without a word."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from looked_after import damaged, repaired
from made_catalog import items_of, vectors_of
from made_plugins import MadeCaptioner, MadeEncoder
from pictures import swatch, swatches
from program import program

from vlm4rec_edge import (
    Captioned,
    CaptionRequest,
    Failure,
    IndexFolder,
    IndexReport,
    Item,
    Recommender,
    Selection,
    build_index,
    list_items,
)
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.info import describe_index
from vlm4rec_edge.store.schema import DATABASE_NAME


class Naming(MadeCaptioner):
    """Says the name of each photo that it was told of, with fields where it was told some; fails at "broken"."""

    def __init__(self, photos: Iterable[Path], fields: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = {read_photo_file(path).sha256: path.stem for path in photos}
        self._fields = fields or {}
        self.shown: list[str] = []

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Answer two at a time, the later one first, as a captioner may."""
        waiting: list[CaptionRequest] = []
        for request in photos:
            waiting.append(request)
            if len(waiting) == 2:
                yield from map(self._said, reversed(waiting))
                waiting.clear()
        yield from map(self._said, waiting)

    def _said(self, request: CaptionRequest) -> Captioned | Failure:
        name = self._names[request.photo.sha256]
        self.shown.append(name)
        if name == "broken":
            return Failure(request.key, "grounding", "The model said nothing.")
        return Captioned(request.key, f"A view, {name}.", self._fields.get(name))


@pytest.fixture
def views(tmp_path: Path) -> list[Path]:
    """Six photos."""
    return swatches(tmp_path / "views", 6)


@pytest.fixture
def catalog(views: list[Path]) -> list[Item]:
    """An item of three photos, one of two, one of one."""
    return [
        Item("three", views[0], "Three", more_photos=tuple(views[1:3])),
        Item("two", views[3], "Two", more_photos=(views[4],)),
        Item("one", views[5], "One"),
    ]


def _index(catalog: Iterable[Item], out: Path, captioner: Any, **settings: Any) -> IndexReport:
    return build_index(catalog, out, captioner=captioner, encoder=MadeEncoder(), **settings)


def _mean(*texts: str) -> np.ndarray:
    total = MadeEncoder().encode(texts).sum(axis=0)
    return np.asarray(total / np.linalg.norm(total))


def test_every_photo_has_a_caption_and_the_item_the_mean_of_their_vectors(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    report = _index(catalog, out, Naming(views), encoded_text="caption")
    assert (report.items, report.progress.captioned, report.progress.done) == (3, 6, 3)
    three = items_of(out)["three"]
    assert three.caption == "A view, 0000. A view, 0001. A view, 0002."
    assert [(photo.image, photo.caption) for photo in three.photos] == [
        (str(path), f"A view, {path.stem}.") for path in views[:3]
    ]
    assert items_of(out)["one"].photos == ()
    found = vectors_of(out)
    np.testing.assert_allclose(found["three"], _mean(*(f"A view, 000{n}." for n in range(3))), atol=1e-6)
    np.testing.assert_allclose(found["one"], _mean("A view, 0005."), atol=1e-6)
    assert IndexFolder(out).verify().ok
    assert describe_index(out).photos == 6
    assert "photos" in program("info", out).out


def test_titles_go_with_the_caption_of_each_photo(catalog: list[Item], views: list[Path], out: Path) -> None:
    _index(catalog, out, Naming(views), encoded_text="title_caption")
    np.testing.assert_allclose(vectors_of(out)["two"], _mean("Two. A view, 0003.", "Two. A view, 0004."), atol=1e-6)
    assert IndexFolder(out).verify().ok


def test_photos_that_show_the_same_have_the_vector_of_one(tmp_path: Path, views: list[Path], out: Path) -> None:
    captioner = Naming(views)
    copy = Path(shutil.copy(views[0], tmp_path / "copy.png"))
    _index([Item("twice", views[0], more_photos=(copy,)), Item("once", views[0])], out, captioner)
    assert captioner.shown == ["0000"]
    twice, once = items_of(out)["twice"], items_of(out)["once"]
    assert (twice.row, twice.caption, len(twice.photos)) == (once.row, once.caption, 2)


def test_one_photo_that_changes_is_captioned_again_and_no_other(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    _index(catalog, out, Naming(views))
    assert _index(catalog, out, Naming(views)).progress.reused == 6
    swatch(255, 255, 255).save(views[1])
    captioner = Naming(views)
    report = _index(catalog, out, captioner)
    assert captioner.shown == ["0001"]
    assert (report.progress.captioned, report.progress.reused, report.progress.encoded) == (1, 5, 0)


def test_a_photo_that_goes_or_comes_costs_its_own_caption_at_most(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    fewer = [replace(catalog[0], more_photos=(views[2],)), *catalog[1:]]
    _index(fewer, out, Naming(views))
    captioner = Naming(views)
    assert _index(catalog, out, captioner).progress.captioned == 1
    assert captioner.shown == ["0001"]
    assert _index(fewer, out, captioner).progress.captioned == 0
    assert [Path(photo.image).stem for photo in items_of(out)["three"].photos] == ["0000", "0002"]
    assert IndexFolder(out).verify().ok


@pytest.mark.parametrize("lost", ["missing", "broken"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_photo_that_fails_is_named_and_its_item_stays(
    catalog: list[Item], views: list[Path], out: Path, lost: str, place: int
) -> None:
    bad = views[0].with_name(f"{lost}.png")
    if lost == "broken":
        swatch(9, 9, 9).save(bad)
        views.append(bad)
    first, *more = [bad if number == place else path for number, path in enumerate(catalog[0].photos)]
    report = _index([replace(catalog[0], image=first, more_photos=tuple(more)), *catalog[1:]], out, Naming(views))
    (failure,) = report.failures
    assert (failure.where, str(bad) in failure.reason) == ("three", True)
    assert (report.items, report.progress.done, report.progress.failed) == (3, 3, 1)
    assert [photo.image for photo in items_of(out)["three"].photos] == [
        str(path) for number, path in enumerate(views[:3]) if number != place
    ]
    assert IndexFolder(out).verify().ok


def test_an_item_without_a_usable_photo_is_lost_once_and_every_photo_is_named(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    for path in views[:3]:
        path.write_bytes(b"")
    report = _index(catalog, out, Naming(views[3:]))
    assert [failure.where for failure in report.failures] == ["three"] * 3
    assert [str(path) in failure.reason for path, failure in zip(views, report.failures, strict=False)] == [True] * 3
    assert (report.items, report.progress.done, report.progress.failed) == (2, 3, 3)


def test_a_field_is_that_of_the_first_photo_that_fills_it(catalog: list[Item], views: list[Path], out: Path) -> None:
    fields = {
        "0000": '{"kind": "coat", "colour": ""}',
        "0001": '{"kind": "jacket", "colour": "red"}',
        "0002": '{"kind": "", "colour": "blue"}',
    }
    _index(catalog, out, Naming(views, fields))
    three = items_of(out)["three"]
    assert three.fields == three.attributes == {"kind": "coat", "colour": "red"}
    assert three.photos[2].fields == {"kind": "", "colour": "blue"}
    with Recommender.open(out) as shop:
        assert [hit.item_id for hit in shop.recommend(["one"], selection=Selection(where="colour = 'red'"))] == [
            "three"
        ]


def test_titles_alone_keep_the_photos_that_the_catalog_names(catalog: list[Item], views: list[Path], out: Path) -> None:
    _index(catalog, out, None, encoded_text="title")
    assert [photo.image for photo in items_of(out)["two"].photos] == [str(path) for path in views[3:5]]
    assert IndexFolder(out).verify().ok


def test_all_photos_of_an_item_are_shown_where_it_is_listed_or_recommended(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    _index(catalog, out, Naming(views))
    stored = items_of(out)["two"]
    listed = {item.id: item for item in list_items(out).items}
    assert listed["two"].photos == stored.photos
    assert [photo["image"] for photo in listed["two"].to_dict()["photos"]] == [str(path) for path in views[3:5]]
    other = next(item_id for item_id in listed if item_id != "two")
    with Recommender.open(out) as shop:
        hits = {hit.item_id: hit.to_dict() for hit in shop.recommend([other])}
    assert hits["two"]["photos"] == listed["two"].to_dict()["photos"]


@pytest.mark.parametrize(
    ("damage", "statement"),
    [
        ("vectors", ""),
        ("photo", "UPDATE photos SET image = 'elsewhere' WHERE item = 'three' AND place = 2"),
        ("caption", "UPDATE captions SET text = 'another' WHERE text = 'A view, 0001.'"),
        ("torn", "DELETE FROM photos WHERE item = 'three' AND place = 3"),
    ],
)
def test_repair_and_the_next_run_make_whole_what_was_damaged(
    catalog: list[Item], views: list[Path], out: Path, damage: str, statement: str
) -> None:
    _index(catalog, out, Naming(views))
    before = items_of(out)
    damaged(out, statement)
    assert not IndexFolder(out).verify().ok
    with IndexFolder(out) as index:
        index.repair(encoder=MadeEncoder())
    assert IndexFolder(out).verify().ok
    report = _index(catalog, out, Naming(views))
    assert report.progress.captioned == (damage == "caption")
    assert {name: replace(item, row=0) for name, item in items_of(out).items()} == {
        name: replace(item, row=0) for name, item in before.items()
    }


def test_a_torn_database_keeps_the_further_photos_that_can_be_read(
    catalog: list[Item], views: list[Path], out: Path
) -> None:
    _index(catalog, out, Naming(views))
    before = items_of(out)
    path = out / DATABASE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items_by_vector_row'").fetchone()[0]
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    content[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(bytes(content))
    assert repaired(out).salvaged_database
    assert items_of(out) == before


def test_a_removed_item_takes_its_further_photos_along(catalog: list[Item], views: list[Path], out: Path) -> None:
    _index(catalog, out, Naming(views))
    with IndexFolder(out) as index:
        index.remove(["three"])
    assert describe_index(out).photos == 3
    assert IndexFolder(out).verify().ok


def test_a_bundle_has_the_caption_and_the_vector_of_all_photos(
    catalog: list[Item], views: list[Path], out: Path, tmp_path: Path
) -> None:
    _index(catalog, out, Naming(views))
    done = program("bundle", out, tmp_path / "shop.zip", "--vectors", "float32")
    assert done.code == 0, done.err
    with Recommender.open(out) as index, Recommender.open(tmp_path / "shop.zip") as bundle:
        kept = bundle.store.items_of(["three"])["three"]
        assert kept.caption == index.store.items_of(["three"])["three"].caption
        assert kept.photos == ()
        assert [hit.item_id for hit in bundle.similar("three", 2)] == [hit.item_id for hit in index.similar("three", 2)]
