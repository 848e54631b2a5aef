"""Items are compared by their photos as by their words: the same filters, the same history left out, and no model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from made_photos import BARE, COLOURS, ITEMS, TWICE, WIDTH, caption, photo_of, write_photo_shop
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import IndexFolder, Recommender
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import StoreError, UnknownItemError, UsageError
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection

HISTORY = ["item-0", "item-21", "item-40"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop. To be read only."""
    return write_photo_shop(tmp_path_factory.mktemp("photos") / "shop.index")


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[Recommender]:
    """The shop, by its photos."""
    with Recommender.open(folder, photos_alone=True) as opened:
        yield opened


def _dense() -> tuple[list[str], np.ndarray]:
    """The items that have a photo, and their vectors, by plain numpy: the mean of an item's photos, less the mean of all."""
    rows = [row for row in range(ITEMS) if f"item-{row}" not in BARE]
    own = {row: unit(photo_of(row) + photo_of(ITEMS)) if f"item-{row}" == TWICE else photo_of(row) for row in rows}
    vectors = np.array([own[row] for row in rows], np.float64)
    return [f"item-{row}" for row in rows], unit(vectors - vectors.mean(axis=0)).astype(np.float64)


def _nearest(history: Sequence[str], admitted: Sequence[str] | None = None) -> list[tuple[str, float]]:
    """The items nearest to the mean of a history, the history left out, with their cosines."""
    ids, vectors = _dense()
    profile = np.mean([vectors[ids.index(item)] for item in history], axis=0)
    scores = vectors @ (profile / np.linalg.norm(profile))
    told = [(item, float(score)) for item, score in zip(ids, scores, strict=True) if item not in history]
    return sorted((entry for entry in told if admitted is None or entry[0] in admitted), key=lambda entry: -entry[1])


@pytest.mark.parametrize("history", [HISTORY, ["item-5"], [TWICE, "item-50"], ["item-9", "item-9", "item-10"]])
def test_the_nearest_photos_are_those_of_a_dense_computation(shop: Recommender, history: list[str]) -> None:
    found = shop.recommend(history, ITEMS)
    expected = _nearest(history)
    assert [hit.item_id for hit in found] == [item for item, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert shop.representation == "photos"


def test_it_is_something_else_than_the_words(folder: Path, shop: Recommender) -> None:
    with Recommender.open(folder) as words:
        assert words.representation == "words"
        of_words = [hit.item_id for hit in words.recommend(HISTORY, 10)]
    assert of_words != [hit.item_id for hit in shop.recommend(HISTORY, 10)]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(where="colour = 'red' and price < 40"),
        Selection(where="caption contains 'boots'"),
        Selection(deny=["item-1", "item-2", "item-30"]),
        Selection(allow=["item-4", "item-7", "item-30", "item-31"]),
        Selection(min_score=0.1),
        Selection(exclude_history=False),
        Selection(one_per="colour"),
    ],
    ids=["where", "caption", "deny", "allow", "min_score", "history_too", "one_per"],
)
def test_a_selection_holds_as_it_does_for_words(shop: Recommender, selection: Selection) -> None:
    left = {item for item, _ in _nearest(HISTORY)} | (set() if selection.exclude_history else set(HISTORY))
    if selection.where:
        left &= {hit.id for hit in shop.items(where=selection.where, limit=None).items}
    left -= set(selection.deny)
    if selection.allow is not None:
        left &= set(selection.allow)
    expected = [item for item, score in _with_history(HISTORY) if item in left and score >= selection.min_score]
    if selection.one_per:
        seen: set[str] = set()
        colour = {item: COLOURS[int(item[5:]) % 3] for item in expected}
        expected = [item for item in expected if colour[item] not in seen and not seen.add(colour[item])]
    assert expected
    assert [hit.item_id for hit in shop.recommend(HISTORY, ITEMS, selection=selection)] == expected


def _with_history(history: Sequence[str]) -> list[tuple[str, float]]:
    ids, vectors = _dense()
    profile = np.mean([vectors[ids.index(item)] for item in history], axis=0)
    scores = vectors @ (profile / np.linalg.norm(profile))
    return sorted(zip(ids, scores.tolist(), strict=True), key=lambda entry: -entry[1])


def test_all_that_shapes_a_profile_shapes_it_here(shop: Recommender) -> None:
    ids, vectors = _dense()
    of = {item: vectors[place] for place, item in enumerate(ids)}
    weighted = unit(3 * of["item-0"] + of["item-21"]) - 0.0
    away = unit(weighted * np.linalg.norm(3 * of["item-0"] + of["item-21"]) / 4 - 0.2 * of["item-40"])
    found = shop.recommend(["item-0", "item-21"], 5, weights=[3, 1], disliked=["item-40"])
    order = sorted(set(ids) - set(HISTORY), key=lambda item: -float(of[item] @ away))
    assert [hit.item_id for hit in found] == order[:5]
    split = shop.recommend(HISTORY, 9, settings=ProfileSettings(interests=3))
    assert {hit.interest for hit in split} == {0, 1, 2}
    assert [hit.item_id for hit in shop.similar("item-5", 4)] == [item for item, _ in _nearest(["item-5"])[:4]]


def test_many_histories_are_answered_as_one_by_one(shop: Recommender) -> None:
    histories = [History(str(number), [f"item-{number}", f"item-{number + 30}"]) for number in range(12, 25)]
    for history, answer in zip(histories, shop.recommend_many(histories, 7), strict=True):
        assert list(answer.items) == [hit.item_id for hit in shop.recommend(history.items, 7)]


def test_an_explanation_sums_to_the_score_and_tells_the_words_that_captions_share(shop: Recommender) -> None:
    for hit in shop.recommend(HISTORY, 10, explain=True):
        assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=1e-5)
        own = set(caption(int(hit.item_id[5:])).lower().strip(".").replace(",", "").split())
        bought = set(" ".join(caption(int(item[5:])) for item in HISTORY).lower().replace(",", "").split())
        assert set(hit.shared) == (own & bought) - {"for", "the", "street", "number"}
        assert hit.to_dict()["shared"] == list(hit.shared)
    assert all(hit.shared == () for hit in shop.recommend(HISTORY, 10))


def test_an_item_without_a_vector_of_its_photo_is_known_and_never_recommended(shop: Recommender) -> None:
    assert not {hit.item_id for hit in shop.recommend(HISTORY, ITEMS)} & set(BARE)
    assert shop.unknown(BARE) == []
    beside = [hit.item_id for hit in shop.recommend(["item-5", BARE[0]], 5)]
    assert beside == [item for item, _ in _nearest(["item-5"])[:5]]
    with pytest.raises(UsageError, match=r"No item of this history has a vector of its photo.*--photo-vectors"):
        shop.recommend(BARE, 5)
    with pytest.raises(UnknownItemError, match="holds no item 'item-777'"):
        shop.recommend(["item-777"], 5)


def test_a_text_cannot_be_compared_with_photos(shop: Recommender) -> None:
    for ask in (lambda: shop.search("red boots"), lambda: shop.recommend(HISTORY, text="red boots")):
        with pytest.raises(UsageError, match="A text cannot be compared with photos"):
            ask()


def test_a_vector_and_a_profile_are_of_this_space(folder: Path, shop: Recommender) -> None:
    vectors = shop.vectors(HISTORY)
    assert vectors.shape == (3, WIDTH)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    profile = shop.profile(HISTORY)
    with_history = Selection(exclude_history=False)
    found = [hit.item_id for hit in shop.recommend_profile(profile, 8)]
    assert found == [hit.item_id for hit in shop.recommend(HISTORY, 8, selection=with_history)]
    with Recommender.open(folder) as words, pytest.raises(Exception, match="another encoder"):
        words.recommend_profile(profile, 3)


def test_an_index_that_keeps_none_says_how_to_make_them_and_a_bundle_where_to_ask(folder: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "bare.index", random_vectors(5))
    with pytest.raises(UsageError, match=r"keeps no vectors of its photos.*index CATALOG --out .*--photo-vectors"):
        Recommender.open(tmp_path / "bare.index", photos_alone=True)
    make_bundle(folder, tmp_path / "shop.zip")
    with pytest.raises(UsageError, match="holds no vectors of photos; use the index"):
        Recommender.open(tmp_path / "shop.zip", photos_alone=True)
    with pytest.raises(UsageError, match="not by both"):
        Recommender.open(folder, photos_alone=True, words_alone=True)
    with pytest.raises(StoreError, match="There is no index"):
        Recommender.open(tmp_path / "nowhere", photos_alone=True)


def test_it_takes_up_what_is_written_and_ends_with_the_last_item(tmp_path: Path) -> None:
    own = write_photo_shop(tmp_path / "own.index", 12)
    with Recommender.open(own, photos_alone=True) as shop:
        assert len(shop.recommend(["item-0"], ITEMS)) == 12 - 1 - len(BARE)
        with IndexFolder(own) as index:
            index.remove([f"item-{row}" for row in range(1, 11)])
        assert shop.reload_if_changed()
        assert [hit.item_id for hit in shop.recommend(["item-0"], 5)] == ["item-11"]
        with IndexFolder(own) as index:
            index.remove(["item-0", "item-11"])
        with pytest.raises(StoreError, match="holds no items yet"):
            shop.reload()
        assert [hit.item_id for hit in shop.recommend(["item-0"], 5)] == ["item-11"]


def test_one_photo_has_no_neighbour_and_photos_that_are_all_the_same_are_all_as_near(tmp_path: Path) -> None:
    with Recommender.open(write_photo_shop(tmp_path / "one.index", 1), photos_alone=True) as shop:
        assert list(shop.recommend(["item-0"], 5)) == []
    same = write_photo_shop(tmp_path / "same.index", 6, photo=lambda _: photo_of(0))
    with Recommender.open(same, photos_alone=True) as shop:
        assert [hit.score for hit in shop.recommend(["item-0"], 9)] == pytest.approx([1.0] * 5)


def test_neither_the_model_nor_the_encoder_is_loaded(folder: Path) -> None:
    code = (
        "import sys; from vlm4rec_edge import Recommender\n"
        "with Recommender.open(sys.argv[1], photos_alone=True) as shop: print(len(shop.recommend(['item-0'], 3)))\n"
        "print({'llama_cpp', 'onnxruntime', 'tokenizers', 'PIL'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["3", "set()"]
