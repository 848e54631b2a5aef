"""Recommendations are the items nearest to the mean of a history, and never the history itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawings import Drawing
from made_shop import opened
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import OnnxEncoder, Recommender, resolve_encoder
from vlm4rec_edge.demo.report import caption_says
from vlm4rec_edge.errors import ModelError, StoreError, UnknownItemError, UsageError
from vlm4rec_edge.recommend.profile import ProfileSettings


@pytest.fixture(scope="module")
def shelf(shop_index: Path) -> Iterator[Recommender]:
    """The small shop, captioned and encoded by the embedded models."""
    with Recommender.open(shop_index) as shop:
        yield shop


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A made store of 500 items."""
    vectors = random_vectors(500)
    return write_store(tmp_path_factory.mktemp("large") / "store", vectors), vectors


def _ids(shop: Recommender) -> list[str]:
    return [item.id for item in shop.store.items()]


def _vectors_by_id(shop: Recommender) -> dict[str, np.ndarray]:
    return {item.id: np.array(shop.store.vectors[item.row]) for item in shop.store.items()}


def test_the_answers_are_those_of_the_formula(shelf: Recommender) -> None:
    """The profile is the mean of the history's vectors, the score the cosine to it (arXiv 2603.12625)."""
    vectors = _vectors_by_id(shelf)
    history = _ids(shelf)[3:6]
    profile = np.mean([vectors[name].astype(np.float64) for name in history], axis=0)
    profile /= np.linalg.norm(profile)
    scores = {name: float(vector @ profile) for name, vector in vectors.items() if name not in history}
    found = shelf.recommend(history, k=len(vectors))
    assert {hit.item_id: pytest.approx(hit.score, abs=1e-5) for hit in found} == scores
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert [hit.rank for hit in found] == list(range(1, len(scores) + 1))
    assert all(-1 <= hit.score <= 1 + 1e-6 for hit in found)


def test_an_answer_says_what_the_catalog_and_the_model_say(shelf: Recommender, drawings: list[Drawing]) -> None:
    by_id = {drawing.item_id: drawing for drawing in drawings}
    for hit in shelf.recommend(_ids(shelf)[:1], k=5):
        drawing = by_id[hit.item_id]
        assert (hit.title, dict(hit.attributes)) == (drawing.title, drawing.attributes)
        assert hit.caption
        assert Path(hit.image).is_file()


@pytest.mark.parametrize("size", [1, 2, 5, 23])
def test_the_history_is_never_recommended(shelf: Recommender, size: int) -> None:
    everything = _ids(shelf)
    for start in range(0, len(everything) - size + 1, max(1, size // 2)):
        history = everything[start : start + size]
        found = [hit.item_id for hit in shelf.recommend(history, k=100)]
        assert sorted(found + history) == sorted(everything)


def test_the_whole_catalog_as_history_leaves_nothing(shelf: Recommender) -> None:
    assert shelf.recommend(_ids(shelf), k=3) == []


def test_what_looks_alike_is_found_before_what_does_not(shelf: Recommender, drawings: list[Drawing]) -> None:
    """What the model says is black, or yellow, lies nearer to other such items than the rest does, on the whole."""
    captions = {item.id: item.caption for item in shelf.store.items()}
    for colour in ("black", "yellow", "dark blue"):
        alike = [name for name, caption in captions.items() if caption_says(caption, colour)]
        if len(alike) < 2:
            continue
        ranks = {hit.item_id: hit.rank for hit in shelf.similar(alike[0], k=100)}
        others = [rank for name, rank in ranks.items() if name not in alike]
        assert np.mean([ranks[name] for name in alike[1:]]) < np.mean(others)


@pytest.mark.parametrize("method", ["exact", "hnsw"])
def test_search_by_graph_and_by_scan_agree(large: tuple[Path, np.ndarray], method: str) -> None:
    folder, vectors = large
    with opened(folder, method) as shop:
        for first in range(0, 500, 50):
            history = [f"item-{row}" for row in range(first, first + 3)]
            profile = vectors[first : first + 3].mean(axis=0)
            order = [f"item-{row}" for row in np.argsort(-(vectors @ profile)) if not first <= row < first + 3]
            assert [hit.item_id for hit in shop.recommend(history, k=10)] == order[:10]


@pytest.mark.parametrize("method", ["exact", "hnsw"])
def test_k_beyond_the_catalog_gives_all_there_is(large: tuple[Path, np.ndarray], method: str) -> None:
    with opened(large[0], method) as shop:
        found = [hit.item_id for hit in shop.recommend(["item-7"], k=10**9)]
        assert len(found) == len(set(found)) == 499
        assert "item-7" not in found


def test_an_id_given_twice_weighs_twice_and_is_left_out_once(large: tuple[Path, np.ndarray]) -> None:
    folder, vectors = large
    profile = (2 * vectors[3] + vectors[90]) / 3
    order = [f"item-{row}" for row in np.argsort(-(vectors @ profile)) if row not in {3, 90}]
    with Recommender.open(folder) as shop:
        assert [hit.item_id for hit in shop.recommend(["item-3", "item-90", "item-3"], k=5)] == order[:5]


def test_items_of_one_vector_are_all_found_and_the_one_in_the_history_is_not(tmp_path: Path) -> None:
    vectors = random_vectors(5, 8)
    items = [("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 2)]
    with Recommender.open(write_store(tmp_path / "store", vectors, items)) as shop:
        found = shop.recommend(["b"], k=2)
        assert [(hit.item_id, hit.rank) for hit in found] == [("a", 1), ("c", 2)]
        assert [hit.score for hit in found] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("method", ["exact", "hnsw"])
def test_vectors_without_an_item_are_looked_past(tmp_path: Path, method: str) -> None:
    """An item that changed leaves its old vector behind, where a query may fall among many such."""
    vectors = unit(
        np.concatenate([np.tile([1.0, 0, 0, 0], (60, 1)), random_vectors(20, 4)]) + 1e-3 * random_vectors(80, 4)
    )
    folder = write_store(tmp_path / "store", vectors, [(f"item-{row % 20}", row) for row in range(60)])
    write_store(folder, vectors, [("stays", 0), *((f"item-{row}", 60 + row) for row in range(20))])
    with opened(folder, method) as shop:
        found = [hit.item_id for hit in shop.recommend(["stays"], k=20)]
    assert sorted(found) == sorted(f"item-{row}" for row in range(20))


def test_an_unknown_id_is_named_with_what_is_like_it(shelf: Recommender) -> None:
    known = _ids(shelf)[0]
    wrong = known[:-1] + "X"
    with pytest.raises(UnknownItemError, match=f"holds no item '{wrong}'; did you mean '{known}'"):
        shelf.recommend([wrong])
    with pytest.raises(UnknownItemError, match=r"'a', 'b', 'c', 'd', 'e' and 2 more"):
        shelf.recommend(list("abcdefg"))
    assert shelf.unknown(["a", known, "b", "a"]) == ["a", "b"]


def test_unknown_ids_may_be_skipped_but_not_all_of_them(shelf: Recommender) -> None:
    known = _ids(shelf)[0]
    assert shelf.recommend([known, "nobody"], skip_unknown=True) == shelf.recommend([known])
    with pytest.raises(UnknownItemError):
        shelf.recommend(["nobody"], skip_unknown=True)


def test_weights_and_times_stay_with_their_items_where_unknown_ones_are_skipped(large: tuple[Path, np.ndarray]) -> None:
    with Recommender.open(large[0]) as shop:
        settings = ProfileSettings(half_life=2)
        found = shop.recommend(
            ["item-1", "nobody", "item-2"], weights=[1, 9, 3], times=[0, 9, 1], skip_unknown=True, settings=settings
        )
        assert found == shop.recommend(["item-1", "item-2"], weights=[1, 3], times=[0, 1], settings=settings)
        with pytest.raises(UsageError, match="2 weights for 3 items"):
            shop.recommend(["item-1", "nobody", "item-2"], weights=[1, 3], skip_unknown=True)


@pytest.mark.parametrize("odd", ["", " ", "a\0b", "x" * 10_000, "' OR 1=1 --", "\udcff", "%", "ITEM-1"])
def test_odd_ids_are_unknown_and_nothing_worse(large: tuple[Path, np.ndarray], odd: str) -> None:
    with Recommender.open(large[0]) as shop, pytest.raises(UnknownItemError):
        shop.similar(odd)


def test_a_history_of_thousands_is_answered(large: tuple[Path, np.ndarray]) -> None:
    folder, _ = large
    with Recommender.open(folder) as shop:
        history = [f"item-{row % 499}" for row in range(5000)]
        assert [hit.item_id for hit in shop.recommend(history, k=3)] == ["item-499"]


def test_a_request_that_cannot_be_meant_is_refused(shelf: Recommender, tmp_path: Path) -> None:
    known = _ids(shelf)[0]
    with pytest.raises(UsageError, match="history is empty"):
        shelf.recommend([])
    for k in (0, -1):
        with pytest.raises(UsageError, match=f"k is {k}; ask for at least 1"):
            shelf.recommend([known], k=k)
    with pytest.raises(UsageError, match="search text is empty"):
        shelf.search("  ")
    opposite = write_store(tmp_path / "store", unit([[1, 0], [-1, 0], [0, 1]]))
    with Recommender.open(opposite) as shop, pytest.raises(UsageError, match="cancel each other out"):
        shop.recommend(["item-0", "item-1"])


def test_search_finds_the_item_whose_caption_is_asked_for(index_by_captions: Path, encoder: OnnxEncoder) -> None:
    with Recommender.open(index_by_captions) as shelf:
        item = next(iter(shelf.store.items()))
        best = shelf.search(item.caption, k=3, encoder=encoder)[0]
        assert best.caption == item.caption
        assert best.score > 0.999
        assert shelf.search(item.caption, k=3)[0] == best  # by the encoder that is noted in the index


def test_search_finds_the_item_whose_title_is_asked_for(shelf: Recommender, encoder: OnnxEncoder) -> None:
    """A title counts 0.9 beside the caption, so the cosine of its words to the item is 0.9 at least."""
    item = next(iter(shelf.store.items()))
    best = shelf.search(item.title, k=3, encoder=encoder)[0]
    assert best.title == item.title
    assert best.score > 0.9


def test_search_may_return_any_item(shelf: Recommender, encoder: OnnxEncoder) -> None:
    assert len(shelf.search("a red dress", k=1000, encoder=encoder)) == len(_ids(shelf))


def test_search_refuses_an_encoder_that_did_not_make_the_index(shelf: Recommender) -> None:
    files = resolve_encoder()
    other_files = replace(files, settings=replace(files.settings, max_tokens=7))
    with OnnxEncoder(other_files, threads=1) as other, pytest.raises(StoreError, match="made by another encoder"):
        shelf.search("a red dress", encoder=other)


def test_search_says_which_encoder_is_missing(large: tuple[Path, np.ndarray]) -> None:
    with Recommender.open(large[0]) as shop, pytest.raises(ModelError, match="'given'"):
        shop.search("a red dress")


def test_where_there_is_no_index_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"There is no index at .*nowhere; make one: vlm4rec-edge index CATALOG"):
        Recommender.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("no index")
    with pytest.raises(StoreError, match="There is no index"):
        Recommender.open(tmp_path / "file")


def test_an_index_without_items_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no items yet"):
        Recommender.open(write_store(tmp_path / "store", random_vectors(3), []))


def test_an_index_may_be_moved_and_copied(shop_index: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(shop_index, tmp_path / "moved")
    with Recommender.open(shop_index) as here, Recommender.open(moved) as there:
        for name in _ids(here)[:5]:
            assert here.similar(name) == there.similar(name)


def test_attributes_are_text_as_the_catalog_wrote_them(shelf: Recommender) -> None:
    for hit in shelf.similar(_ids(shelf)[0], k=3):
        assert all(isinstance(value, str) for value in hit.attributes.values())
        json.dumps(dict(hit.attributes))
