"""Photos get vectors of their own where a captioner gives some; kept by photo, never mixed, and nothing hangs on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_catalog import PHOTOS, Run, rows_of, table_of
from made_plugins import MadeCaptioner, MadeEncoder, said
from pictures import swatch

from vlm4rec_edge import Captioned, CaptionRequest, Failure, Recommender, build_index, open_captioner
from vlm4rec_edge.errors import UsageError, Vlm4RecWarning
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.indexing.report import IndexReport
from vlm4rec_edge.info import describe_index
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.schema import DATABASE_NAME


class Seeing(MadeCaptioner):
    """Names a photo by its hash, and gives a vector made of it; tells what it was asked."""

    def __init__(self, version: int = 1, width: int = 4) -> None:
        super().__init__()
        self.vector_identity = {"name": "made", "version": version}
        self.version, self.width = version, width
        self.asked: list[bool] = []
        self.broken: set[str] = set()

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Answer each photo."""
        for request in photos:
            self.asked.append(request.only_vector)
            if request.photo.sha256 in self.broken:
                yield Failure(request.key, "grounding", "too dark")
                continue
            text = "" if request.only_vector else said(request).text
            yield Captioned(request.key, text, None, vector_of(request.photo.sha256, self.version, self.width))


def vector_of(sha256: str, version: int = 1, width: int = 4) -> np.ndarray:
    """The vector of a photo."""
    vector = np.random.default_rng([int(sha256[:8], 16), version]).normal(size=width)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture
def run(out: Path) -> Run:
    """Index a catalog with a made captioner."""

    def index(catalog: Path, captioner: MadeCaptioner, **settings: Any) -> IndexReport:
        settings = {"encoder": MadeEncoder(), "encoded_text": "caption", **settings}
        return build_index(catalog, out, captioner=captioner, **settings)

    return index


def _kept(out: Path) -> dict[str, np.ndarray]:
    """The vector of each photo by its hash, as any program reads it."""
    with StoreReader(out) as store:
        vectors = store.photo_vectors()
        return {sha: vectors[row] for sha, row in store.query("SELECT image_sha256, row FROM photo_vectors")}


def _hashes(out: Path) -> set[str]:
    with StoreReader(out) as store:
        further = {sha for (sha,) in store.query("SELECT image_sha256 FROM photos")}
        return {sha for (sha,) in store.query("SELECT image_sha256 FROM items")} | further


def test_each_photo_has_the_vector_that_came_with_its_caption(run: Run, photos: Path, out: Path) -> None:
    report = run(photos, Seeing())
    assert report.progress.photo_vectors == report.progress.captioned == PHOTOS
    kept = _kept(out)
    assert set(kept) == _hashes(out)
    for sha256, vector in kept.items():
        assert np.array_equal(vector, vector_of(sha256))
    assert IndexFolder(out).verify().photo_vectors == PHOTOS
    found = describe_index(out)
    assert (found.photo_vectors, found.photo_vectors_by) == (PHOTOS, {"name": "made", "version": 1})


def test_what_has_a_vector_is_not_looked_at_again(run: Run, photos: Path) -> None:
    run(photos, Seeing())
    again = Seeing()
    report = run(photos, again)
    assert (again.asked, report.progress.photo_vectors) == ([], 0)


def test_an_index_made_without_them_gets_them_without_captioning_anew(run: Run, photos: Path, out: Path) -> None:
    run(photos, MadeCaptioner())
    with StoreReader(out) as store:
        before = list(store.items())
    seeing = Seeing()
    report = run(photos, seeing)
    assert seeing.asked == [True] * PHOTOS
    assert (report.progress.captioned, report.progress.encoded) == (0, 0)
    assert (report.progress.reused, report.progress.photo_vectors) == (PHOTOS, PHOTOS)
    with StoreReader(out) as store:
        assert list(store.items()) == before
    assert set(_kept(out)) == _hashes(out)


def test_a_captioner_that_gives_none_leaves_them_as_they_are(run: Run, photos: Path, out: Path) -> None:
    run(photos, Seeing())
    before = _kept(out)
    swatch(255, 255, 255).save(photos / "new.png")
    assert run(photos, MadeCaptioner()).items == PHOTOS + 1
    assert _kept(out).keys() == before.keys()
    seeing = Seeing()
    run(photos, seeing)
    assert seeing.asked == [True]


def test_a_photo_that_two_items_show_is_looked_at_once(run: Run, photos: Path, out: Path) -> None:
    rows = rows_of(photos)
    table = table_of(photos, [*rows, {**rows[0], "id": "twin"}])
    run(table, MadeCaptioner())
    seeing = Seeing()
    report = run(table, seeing)
    assert (len(seeing.asked), report.items, len(_kept(out))) == (PHOTOS, PHOTOS + 1, PHOTOS)


def test_one_whose_vector_cannot_be_made_keeps_its_caption_and_is_told(run: Run, photos: Path, out: Path) -> None:
    run(photos, MadeCaptioner())
    seeing = Seeing()
    seeing.broken = {min(_hashes(out))}
    report = run(photos, seeing)
    (failure,) = report.failures
    assert "has a caption, but no vector of its own: too dark" in failure.reason
    assert (report.items, report.progress.failed, len(_kept(out))) == (PHOTOS, 1, PHOTOS - 1)
    assert IndexFolder(out).verify().ok


def test_vectors_of_two_towers_are_never_mixed(run: Run, photos: Path, out: Path) -> None:
    run(photos, Seeing())
    (first,) = out.glob("photos-*.f32")
    other = Seeing(version=2)
    with pytest.warns(Vlm4RecWarning, match=f"The {PHOTOS} photo vectors of .* were made by another vision encoder"):
        run(photos, other)
    assert other.asked == [True] * PHOTOS
    for sha256, vector in _kept(out).items():
        assert np.array_equal(vector, vector_of(sha256, version=2))
    (second,) = out.glob("photos-*.f32")
    assert first != second


def test_another_length_under_the_same_identity_is_the_failure_of_that_photo(run: Run, photos: Path, out: Path) -> None:
    run(photos, Seeing())
    swatch(255, 255, 255).save(photos / "new.png")
    report = run(photos, Seeing(width=6))
    assert [failure.reason for failure in report.failures] == [
        "The captioner gave a vector of 6 values for this photo, and of 4 for others."
    ]
    assert len(_kept(out)) == PHOTOS


def test_an_item_of_several_photos_has_their_mean(run: Run, photos: Path, out: Path) -> None:
    paths = sorted(photos.iterdir())
    rows = [{"id": "several", "image": path.name} for path in paths[:3]]
    run(table_of(photos, [*rows, {"id": "single", "image": paths[3].name}]), Seeing())
    with StoreReader(out) as store:
        own = [sha for (sha,) in store.query("SELECT image_sha256 FROM items WHERE id = 'several'")]
        further = [sha for (sha,) in store.query("SELECT image_sha256 FROM photos")]
        (single,) = [sha for (sha,) in store.query("SELECT image_sha256 FROM items WHERE id = 'single'")]
        found = store.photos_of(["single", "nobody", "several"])
        vectors = found.at(np.array([2, 1, 0]))
    mean = np.sum([vector_of(sha) for sha in own + further], axis=0)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert not vectors[1].any()
    np.testing.assert_allclose(vectors[2], vector_of(single), atol=1e-6)
    assert found.count == 2
    told = describe_index(out)
    assert (told.captions, told.photo_vectors) == (4, 4)
    with IndexFolder(out) as index:
        index.remove(["several"])
    told = describe_index(out)
    assert (told.captions, told.photo_vectors) == (1, 1)


def test_a_removed_item_comes_back_with_its_vector(run: Run, photos: Path, out: Path) -> None:
    run(photos, Seeing())
    with IndexFolder(out) as index:
        index.remove(["0001"])
    seeing = Seeing()
    run(photos, seeing)
    assert seeing.asked == []
    assert IndexFolder(out).verify().ok


def test_what_no_item_shows_goes_when_the_file_is_rewritten(run: Run, photos: Path, out: Path) -> None:
    run(photos, Seeing())
    (before,) = out.glob("photos-*.f32")
    (photos / "0001.png").unlink()
    run(photos, Seeing(), prune=True)
    assert len(_kept(out)) == PHOTOS
    with IndexFolder(out) as index, index._access.writing() as store:
        store.compact_photo_vectors()
    assert set(_kept(out)) == _hashes(out)
    assert len(_kept(out)) == PHOTOS - 1
    for sha256, vector in _kept(out).items():
        assert np.array_equal(vector, vector_of(sha256))
    (after,) = out.glob("photos-*.f32")
    assert before != after
    assert IndexFolder(out).verify().ok


@pytest.mark.parametrize("damage", ["a byte", "cut", "gone", "notes", "row"])
def test_lost_ones_are_told_and_cost_nothing_else(run: Run, photos: Path, out: Path, damage: str) -> None:
    run(photos, Seeing())
    with Recommender.open(out) as shop:
        before = shop.similar("0000", 3)
    (path,) = out.glob("photos-*.f32")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-20])
    elif damage == "a byte":
        path.write_bytes(b"\xa5" + content[1:])
    else:
        statements = {
            "notes": "DELETE FROM meta WHERE key = 'photo_dimensions'",
            "row": "UPDATE photo_vectors SET row = 99 WHERE row = 2",
        }
        with closing(sqlite3.connect(out / DATABASE_NAME)) as database, database:
            database.execute(statements[damage])
    found = IndexFolder(out).verify().findings
    assert found
    assert all(finding.file == path.name for finding in found)
    with Recommender.open(out) as shop:
        assert shop.similar("0000", 3) == before
    with IndexFolder(out) as index:
        report = index.repair(encoder=MadeEncoder())
    lost = {"a byte": 1, "cut": 2, "gone": PHOTOS, "notes": PHOTOS, "row": 1}[damage]
    assert report.dropped_photo_vectors == lost
    assert (report.dropped_items, report.dropped_captions, report.dropped_vectors, report.needs_index) == (
        0,
        0,
        0,
        False,
    )
    assert IndexFolder(out).verify().ok
    seeing = Seeing()
    run(photos, seeing)
    assert seeing.asked == [True] * lost
    for sha256, vector in _kept(out).items():
        assert np.array_equal(vector, vector_of(sha256))
    assert IndexFolder(out).verify().photo_vectors == PHOTOS


def test_a_run_that_is_stopped_keeps_what_it_made(run: Run, photos: Path, out: Path) -> None:
    run(photos, MadeCaptioner())

    def stop(progress: Any) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    assert run(photos, Seeing(), on_progress=stop).interrupted
    made = len(_kept(out))
    assert 0 < made < PHOTOS
    seeing = Seeing()
    run(photos, seeing)
    assert len(seeing.asked) == PHOTOS - made
    assert IndexFolder(out).verify().ok


def test_the_model_that_made_them_goes_on_making_them(photos: Path, out: Path) -> None:
    def index(**settings: Any) -> int:
        with IndexFolder(out) as folder, folder.captioner_as_before(max_tokens=6, **settings) as captioner:  # type: ignore[attr-defined]
            return folder.update(photos, captioner=captioner, encoder=MadeEncoder()).progress.photo_vectors

    assert index() == 0
    assert index(photo_vectors=True) == PHOTOS
    swatch(255, 255, 255).save(photos / "new.png")
    assert index(photo_vectors=False) == 0
    assert index() == 1
    swatch(0, 255, 255).save(photos.parent / "added.png")
    with IndexFolder(out) as folder:
        assert (
            folder.add([Item("added", photos.parent / "added.png")], encoder=MadeEncoder()).progress.photo_vectors == 1
        )
    assert describe_index(out).photo_vectors == PHOTOS + 2


def test_a_captioner_of_another_package_that_gives_none_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm4rec_edge.grounding.opening.open_plugin", lambda *_, **__: MadeCaptioner())
    with pytest.raises(UsageError, match="made gives no vectors of photos"):
        open_captioner("made", photo_vectors=True)
    monkeypatch.setattr("vlm4rec_edge.grounding.opening.open_plugin", lambda *_, **__: Seeing())
    assert open_captioner("made", photo_vectors=True).identity["name"] == "made"
