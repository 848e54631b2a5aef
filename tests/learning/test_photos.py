"""Photos are learned from where they help, by the same guard; new items get factors from them, and nothing hangs on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_purchases import EACH, GROUPS, IN_A_GROUP, ITEMS, at_random, bought, shop, together
from made_store import random_vectors, unit

from vlm4rec_edge import Recommender
from vlm4rec_edge.bundle.check import verify_bundle
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import StoreError, Vlm4RecWarning
from vlm4rec_edge.evaluation.evaluating import EvaluationSettings, evaluate
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.info import describe_index
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.learning import WITH_PHOTOS
from vlm4rec_edge.learning.report import LearnReport
from vlm4rec_edge.mixture import beside_photos
from vlm4rec_edge.store.learned import Learned, read_learned
from vlm4rec_edge.store.reader import StoreReader

_SETTINGS = EvaluationSettings(protocol="last", metrics=["recall@10"], resamples=20)


def looks(seed: int = 3, noise: float = 0.5) -> dict[int, np.ndarray]:
    """Photo vectors: items that are bought together look alike."""
    group = np.empty(ITEMS, np.int64)
    group[np.random.default_rng(7).permutation(ITEMS)] = np.repeat(np.arange(GROUPS), IN_A_GROUP)
    own = np.random.default_rng(seed).normal(size=(ITEMS, 16)) / 4
    return dict(enumerate(unit(random_vectors(GROUPS, 16, seed=9)[group] + noise * own)))


def few(users: int = 60, seed: int = 0) -> Interactions:
    """Purchases from one group each, so few that hardly any pair of items is bought twice, and none of the last ten items."""
    random = np.random.default_rng(seed)
    groups = np.random.default_rng(7).permutation(ITEMS).reshape(GROUPS, IN_A_GROUP)
    chosen = [random.permutation(groups[random.integers(GROUPS)]) for _ in range(users)]
    return bought([items[items < ITEMS - 10][:EACH] for items in chosen])


def learn(folder: Path, interactions: Interactions) -> LearnReport:
    with IndexFolder(folder) as index:
        return index.learn(interactions)


def _learned(folder: Path) -> Learned:
    with StoreReader(folder) as store:
        return read_learned(folder, store.meta["learned"])


def _vector(folder: Path, row: int) -> np.ndarray:
    with StoreReader(folder) as store:
        return store.vectors_at([store.rows_of([f"item-{row}"])[f"item-{row}"]])[0]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that learned from purchases and photos; the last ten items have none."""
    photos = {row: vector for row, vector in looks().items() if row < ITEMS - 10}
    folder = shop(tmp_path_factory.mktemp("photos") / "shop.index", photos=photos)
    report = learn(folder, few())
    assert (report.systems[-1].name, report.stored, report.photos) == (WITH_PHOTOS, True, ITEMS - 10)
    assert report.uses_photos
    assert report.reason.startswith("Learned, photos too recommends significantly better")
    return folder


@pytest.fixture
def own(learned: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(learned, tmp_path / "shop.index"))


def test_photos_that_tell_what_goes_together_are_learned_from(learned: Path) -> None:
    found = _learned(learned)
    assert (found.photo_share, found.photo_dimensions, found.projection.shape[0]) == (0.3, 16, 32 + 16)
    assert IndexFolder(learned).verify().findings == ()


def test_photos_that_tell_nothing_are_left_alone(tmp_path: Path) -> None:
    photos = dict(enumerate(random_vectors(ITEMS, 16, seed=4)))
    folder = shop(tmp_path / "shop.index", photos=photos)
    assert not learn(folder, at_random()).stored
    report = learn(folder, together())
    assert report.reason.startswith("Learned recommends significantly better")
    assert (report.photos, report.uses_photos) == (ITEMS, False)
    assert _learned(folder).photos == ""


def test_without_photo_vectors_they_are_no_way_to_recommend(tmp_path: Path) -> None:
    report = learn(shop(tmp_path / "shop.index"), few())
    assert [way.name for way in report.systems] == ["content", "popularity", "content and popularity", "learned"]
    assert report.photos == 0


def test_content_stays_that_of_the_words(learned: Path) -> None:
    found = _learned(learned)
    part = _vector(learned, 5)[: found.layout.content]
    np.testing.assert_allclose(unit(part), random_vectors(ITEMS)[5], atol=1e-5)


def test_a_new_item_gets_its_factors_from_words_and_photo_and_without_a_photo_from_words_alone(own: Path) -> None:
    found, words = _learned(own), np.concatenate([random_vectors(ITEMS), random_vectors(2, seed=5)])
    photo = looks(seed=8)[0]
    shop(own, words, rows=[ITEMS, ITEMS + 1], photos={ITEMS: photo})
    seen = beside_photos(words[ITEMS:], np.stack([photo, np.zeros(16, np.float32)]), found.photo_share)
    np.testing.assert_allclose(seen[1], [*words[ITEMS + 1], *np.zeros(16)])
    for row, expected in zip((ITEMS, ITEMS + 1), seen @ found.projection, strict=True):
        factors = _vector(own, row)[found.layout.parts["bought together"]]
        np.testing.assert_allclose(unit(factors), unit(expected), atol=1e-4)
    assert IndexFolder(own).verify().findings == ()
    with Recommender.open(own) as recommender:
        likes = recommender.similar(f"item-{ITEMS}", 10)
    group = np.random.default_rng(7).permutation(ITEMS)
    mates = {f"item-{row}" for row in group.reshape(GROUPS, IN_A_GROUP)[np.flatnonzero(group == 0)[0] // IN_A_GROUP]}
    assert len(mates & {hit.item_id for hit in likes}) >= 3


def test_an_item_whose_photo_gets_a_vector_later_is_mixed_anew(own: Path) -> None:
    late = ITEMS - 1  # without a photo until now
    before = _vector(own, late)
    shop(own, rows=[late], photos={late: looks()[late]})
    assert not np.allclose(_vector(own, late), before, atol=1e-3)
    assert IndexFolder(own).verify().findings == ()


def test_an_item_with_another_photo_and_the_same_words_is_mixed_anew(own: Path) -> None:
    late = ITEMS - 1
    shop(own, rows=[late], photos={late: looks()[late]})
    with_photo = _vector(own, late)
    shop(own, rows=[late])  # no longer with a photo
    assert not np.allclose(_vector(own, late), with_photo, atol=1e-3)
    assert IndexFolder(own).verify().findings == ()


def test_a_bundle_recommends_the_same_ten_and_carries_no_photo_vector(learned: Path, tmp_path: Path) -> None:
    make_bundle(learned, tmp_path / "shop.zip", vectors="float32")
    assert verify_bundle(tmp_path / "shop.zip").findings == ()
    with Recommender.open(learned) as whole, Recommender.open(tmp_path / "shop.zip") as bundle:
        expected = whole.recommend(["item-1", "item-2"], 10)
        found = bundle.recommend(["item-1", "item-2"], 10)
    assert [hit.item_id for hit in found] == [hit.item_id for hit in expected]
    assert describe_index(tmp_path / "shop.zip").photo_vectors == 0
    assert "which are missing here" in evaluate(tmp_path / "shop.zip", few(), settings=_SETTINGS).notes[-1]


def test_lost_photo_vectors_take_nothing_from_what_is_recommended(own: Path) -> None:
    with Recommender.open(own) as recommender:
        before = recommender.recommend(["item-1", "item-2"], 10)
    (path,) = own.glob("photos-*.f32")
    path.unlink()
    assert [finding.file for finding in IndexFolder(own).verify().findings] == [path.name]
    with Recommender.open(own) as recommender:
        assert recommender.recommend(["item-1", "item-2"], 10) == before
    assert "which are missing here" in evaluate(own, few(), settings=_SETTINGS).notes[-1]
    report = learn(own, few())
    assert report.note.startswith("The photos' own vectors were left out: ")
    with IndexFolder(own) as index:
        index.repair()
    assert IndexFolder(own).verify().findings == ()


def test_vectors_of_another_tower_forget_what_was_learned_of_these(own: Path) -> None:
    with pytest.warns(Vlm4RecWarning) as warned:
        shop(own, rows=[0], photos={0: looks()[0]}, tower=2)
    assert any("is forgotten; learn again" in str(warning.message) for warning in warned)
    assert any("made by another vision encoder" in str(warning.message) for warning in warned)
    with StoreReader(own) as store:
        assert store.layout is None
    assert IndexFolder(own).verify().findings == ()


def test_what_is_evaluated_learns_anew_from_photos_too_where_they_are_here(own: Path) -> None:
    def index_alone() -> tuple[np.ndarray, str]:
        found = evaluate(own, few(), settings=_SETTINGS)
        (own_figures,) = [system for system in found.tables[0].systems if system.system == "index"]
        return own_figures.values["recall@10"], found.notes[-1]

    with_photos, note = index_alone()
    assert "which are missing here" not in note
    (path,) = own.glob("photos-*.f32")
    path.unlink()
    without, note = index_alone()
    assert "which are missing here" in note
    assert with_photos.mean() > without.mean()


def test_what_was_learned_of_photos_is_not_kept_by_an_index_that_has_others(own: Path, tmp_path: Path) -> None:
    other = shop(tmp_path / "other.index")
    with IndexFolder(other) as index, index._access.writing() as store, pytest.raises(StoreError, match="learn again"):
        store.learn(_learned(own))
