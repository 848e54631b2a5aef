"""An index of titles and captions, weighted: the way a new one is made where nothing else is said."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from looked_after import damaged, repaired
from made_catalog import counts_of, items_of, vectors_of
from made_plugins import MadeCaptioner, MadeEncoder
from pictures import swatches
from program import program

from vlm4rec_edge import IndexFolder, IndexReport, Item, Recommender, RemakeError, build_index, describe_index
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.schema import DATABASE_NAME


@pytest.fixture
def views(tmp_path: Path) -> list[Path]:
    """Six photos."""
    return swatches(tmp_path / "views", 6)


@pytest.fixture
def catalog(views: list[Path]) -> list[Item]:
    """Two items with a title, one of them of two photos, and one without."""
    return [
        Item("coat", views[0], "Red coat"),
        Item("bag", views[1], "Bag", more_photos=(views[2],)),
        Item("none", views[3]),
    ]


def _index(catalog: Sequence[Item], out: Path, **settings: Any) -> IndexReport:
    return build_index(catalog, out, **{"captioner": MadeCaptioner(), "encoder": MadeEncoder(), **settings})


def _encoded(*texts: str) -> np.ndarray:
    return MadeEncoder().encode(texts)


def _expected(out: Path, share: float) -> dict[str, np.ndarray]:
    """The vectors by their definition, from what the index says of its items."""
    found = {}
    for item in items_of(out).values():
        captions = [photo.caption for photo in item.photos] or [item.caption]
        vector = _unit(_encoded(*captions).sum(axis=0))
        if item.title:
            vector = _unit(share * _encoded(item.title)[0] + (1 - share) * vector)
        found[item.id] = vector
    return found


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def _keys(out: Path) -> dict[str, str]:
    with StoreReader(out) as store:
        return dict(
            store.query("SELECT id, text_sha256 FROM items JOIN vectors ON vectors.row = items.vector_row ORDER BY id")
        )


def _assert_is(out: Path, share: float) -> None:
    found, expected = vectors_of(out), _expected(out, share)
    assert set(found) == set(expected)
    for item_id, vector in expected.items():
        np.testing.assert_allclose(found[item_id], vector, atol=1e-6)
    assert IndexFolder(out).verify().findings == ()


def test_a_new_index_weighs_titles_and_captions(catalog: list[Item], out: Path) -> None:
    report = _index(catalog, out)
    assert counts_of(report) == (4, 0, 3, 0)
    assert (report.encoded_text, report.without_title, report.learned) == ("weighted:0.9", 1, False)
    assert report.to_dict()["encoded_text"] == "weighted:0.9"
    _assert_is(out, 0.9)
    assert counts_of(_index(catalog, out)) == (0, 4, 0, 0)


def test_a_folder_of_photos_is_encoded_as_by_captions(views: list[Path], out: Path, tmp_path: Path) -> None:
    folder = views[0].parent
    build_index(folder, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    other = tmp_path / "captions.index"
    build_index(folder, other, captioner=MadeCaptioner(), encoder=MadeEncoder(), encoded_text="caption")
    assert _keys(out) == _keys(other)
    assert vectors_of(out) == vectors_of(other)


def test_every_share_has_keys_of_its_own_that_the_page_of_the_format_tells(catalog: list[Item], out: Path) -> None:
    _index(catalog, out)
    by_share = {0.9: _keys(out)}
    _index(catalog, out, encoded_text="weighted:0.75", remake=True)
    by_share[0.75] = _keys(out)
    for item_id in ("coat", "bag"):
        assert by_share[0.9][item_id] != by_share[0.75][item_id]
    assert by_share[0.9]["none"] == by_share[0.75]["none"]
    for share, keys in by_share.items():
        items = items_of(out)
        first, second = (photo.caption for photo in items["bag"].photos)
        texts = {
            "coat": f"\x1d{share}\x1dRed coat\x1d{items['coat'].caption}",
            "bag": f"\x1d{share}\x1dBag\x1d{first}\x1e{second}",
            "none": items["none"].caption,
        }
        assert keys == {item_id: hashlib.sha256(text.encode()).hexdigest() for item_id, text in texts.items()}


def test_another_share_is_told_with_its_cost_and_made_of_the_captions_that_are_there(
    catalog: list[Item], out: Path
) -> None:
    _index(catalog, out)
    with pytest.raises(RemakeError) as caught:
        _index(catalog, out, encoded_text="weighted:.75")
    assert "encoded text: weighted:0.9 -> weighted:0.75" in str(caught.value)
    assert (caught.value.remake.captions, caught.value.remake.texts) == (0, 2)
    assert counts_of(_index(catalog, out, encoded_text="weighted:0.75", remake=True)) == (0, 4, 2, 0)
    _assert_is(out, 0.75)
    # From now on without being told; the same share in another form is the same share.
    assert counts_of(_index(catalog, out)) == counts_of(_index(catalog, out, encoded_text="weighted:.750"))
    back = _index(catalog, out, encoded_text="caption", remake=True)
    assert (back.encoded_text, back.progress.captioned) == ("caption", 0)
    assert IndexFolder(out).verify().ok


def test_an_index_made_by_captions_stays_as_it_was_made(catalog: list[Item], out: Path) -> None:
    _index(catalog, out, encoded_text="caption")
    keys = _keys(out)
    report = _index([*catalog, Item("new", catalog[0].image, "New")], out)
    assert report.encoded_text == "caption"
    assert {item_id: key for item_id, key in _keys(out).items() if item_id != "new"} == keys


@pytest.mark.parametrize(
    ("damage", "statement"),
    [
        ("vectors", ""),
        ("row", "UPDATE items SET vector_row = (SELECT vector_row FROM items WHERE id = 'bag') WHERE id = 'coat'"),
        ("note", "UPDATE meta SET value = 'weighted:0.7' WHERE key = 'encoded_text'"),
    ],
)
def test_repair_makes_the_same_vectors_byte_for_byte(
    catalog: list[Item], out: Path, damage: str, statement: str
) -> None:
    _index(catalog, out, encoded_text="weighted:0.6")
    before = vectors_of(out)
    damaged(out, statement)
    assert not IndexFolder(out).verify().ok
    report = repaired(out, encoder=MadeEncoder())
    assert report.lost_notes == (damage == "note")
    if report.lost_notes:
        _index(catalog, out, encoded_text="weighted:0.6")
    assert IndexFolder(out).verify().ok
    assert vectors_of(out) == before


def test_items_that_a_remake_did_not_reach_keep_a_vector_that_is_theirs(catalog: list[Item], out: Path) -> None:
    _index(catalog, out)
    for kind in ("weighted:0.75", "weighted:0.5", "title_caption"):
        _index(catalog[:1], out, encoded_text=kind, remake=True)
        assert IndexFolder(out).verify().findings == ()
    assert repaired(out, encoder=MadeEncoder()).encoded == 0
    with closing(sqlite3.connect(out / DATABASE_NAME)) as database, database:
        # A title that nobody wrote there: then it is the vector of another text.
        database.execute("UPDATE items SET title = 'Other' WHERE id = 'bag'")
    assert "'bag' has the vector of another text" in str(IndexFolder(out).verify().findings)


def test_another_encoder_leaves_no_vector_of_an_earlier_share(catalog: list[Item], out: Path) -> None:
    _index(catalog, out)
    _index(catalog, out, encoded_text="weighted:0.5", remake=True)
    with StoreReader(out) as store:
        assert store.meta["encoded_before"] == "weighted:0.9"
    other = MadeEncoder(identity={"name": "other", "version": 2})
    _index(catalog, out, encoder=other, remake=True)
    with StoreReader(out) as store:
        assert (store.meta["encoded_text"], store.meta["encoded_before"]) == ("weighted:0.5", "")


def test_an_item_is_added_and_replaced_in_the_same_way(catalog: list[Item], views: list[Path], out: Path) -> None:
    _index(catalog, out)
    with IndexFolder(out) as index:
        models = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
        report = index.add([Item("hat", views[4], "Hat"), replace(catalog[0], title="Blue coat")], **models)
    assert (report.added, report.replaced) == (("hat",), ("coat",))
    assert (report.encoded_text, report.items, report.without_title) == ("weighted:0.9", 4, 1)
    _assert_is(out, 0.9)


def test_a_title_with_the_separators_in_it_is_a_title(catalog: list[Item], out: Path) -> None:
    titles = ["\x1d0.5\x1dCoat\x1dA coat.", "Red\x1ecoat", "\x1e\x1d"]
    items = [replace(catalog[0], id=f"{number}", title=title) for number, title in enumerate(titles)]
    for kind in ("weighted", "title_caption", "title"):
        report = _index(items, out, encoded_text=kind, remake=True)
        assert (report.items, report.failures) == (3, ())
        assert IndexFolder(out).verify().findings == ()


def test_bundles_and_deltas_take_it_along(catalog: list[Item], out: Path, tmp_path: Path) -> None:
    kind = ["--vectors", "float32"]
    _index(catalog[:2], out)
    assert program("bundle", out, tmp_path / "old.zip", *kind).code == 0
    _index(catalog, out, encoded_text="weighted:0.7", remake=True)
    assert program("bundle", out, tmp_path / "news.zip", *kind, "--delta", tmp_path / "old.zip").code == 0
    assert program("patch", tmp_path / "old.zip", tmp_path / "news.zip", tmp_path / "new.zip").code == 0
    assert describe_index(tmp_path / "old.zip").encoded_text == "weighted:0.9"
    assert describe_index(tmp_path / "new.zip").encoded_text == "weighted:0.7"
    with Recommender.open(out) as index, Recommender.open(tmp_path / "new.zip") as bundle:
        found, expected = (shop.recommend(["coat"], 2, explain=True) for shop in (bundle, index))
        assert [(hit.item_id, hit.because) for hit in found] == [(hit.item_id, hit.because) for hit in expected]
        # What version 0.1.0 looks up, to name the words that two items share; another kind ends it.
        assert bundle.store.manifest.content["encoded_text"] == "title_caption"


def test_a_reason_names_words_that_the_titles_share(views: list[Path], out: Path) -> None:
    titles = ["Striped scarf", "Striped hat", "Plain shoe", "Plain bag"]
    _index([Item(title.lower(), image, title) for title, image in zip(titles, views, strict=False)], out)
    with Recommender.open(out) as shop:
        hits = {hit.item_id: hit for hit in shop.recommend(["striped scarf"], 3, explain=True)}
    (reason,) = hits["striped hat"].because
    assert "striped" in reason.words


def test_titles_alone_become_weighted_with_captions_that_are_made_then(catalog: list[Item], out: Path) -> None:
    _index(catalog[:2], out, captioner=None, encoded_text="title")
    with pytest.raises(RemakeError, match=r"encoded text: title -> weighted:0\.9"):
        _index(catalog[:2], out, encoded_text="weighted")
    assert counts_of(_index(catalog[:2], out, encoded_text="weighted", remake=True)) == (3, 0, 2, 0)
    _assert_is(out, 0.9)


def test_a_copy_of_the_index_of_an_earlier_version_can_be_made_so(tmp_path: Path) -> None:
    earlier = Path(__file__).parents[1] / "earlier" / "0.1.0" / "shop.index"
    out = Path(shutil.copytree(earlier, tmp_path / "shop.index"))
    with IndexFolder(out) as index:
        assert index.encoded_text() == "title_caption"
