"""A bundle answers as the index does that it was made of, from read-only files."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_index import ITEMS, ROWS, all_of, write_index
from looked_after import removed
from made_store import EncodingWriter, GivenVectors, random_vectors

from vlm4rec_edge import Recommender, describe_index
from vlm4rec_edge.bundle import vectors as bundle_vectors
from vlm4rec_edge.bundle.output import bundle_output
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.sections import ALIGNMENT
from vlm4rec_edge.bundle.vectors import PackedVectors, VectorType, packed, packed_sections
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import StoreError, UnknownItemError, UsageError
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.reader import StoreReader

# Half precision has 11 bits, a step of int8 is a 127th of the largest value of its vector.
LARGEST_ERROR: dict[str, float] = {"float32": 1e-6, "float16": 1e-3, "int8": 1e-2}


def test_its_items_are_those_of_the_index(index: Path, bundle: Path) -> None:
    with StoreReader(index) as store, BundleReader(bundle) as shipped:
        theirs = {item.id: item for item in store.items()}
        ours = {item.id: item for item in shipped.items()}
        assert shipped.count() == len(ours) == ITEMS
        photos = [replace(item, image=f"{int(Path(item.image).stem)}.png") for item in theirs.values()]
        assert list(ours.values()) == sorted(photos, key=lambda item: (item.row, item.id))
        assert shipped.rows_of([*theirs, "nobody", "\udc80"]) == store.rows_of(theirs)
        assert shipped.items_of(["nobody", *list(ours)[:2]]) == dict(list(ours.items())[:2])
        rows = [3, ROWS - 1, 0]
        assert shipped.ids_at([*rows, ROWS, 10**6]) == store.ids_at(rows)
        assert shipped.meta["encoder"] == store.meta["encoder"]
        assert shipped.provenance("groundings") == store.provenance("groundings")


def test_filters_read_the_same_columns_from_it(index: Path, bundle: Path) -> None:
    with StoreReader(index) as store, BundleReader(bundle) as shipped:
        ours, theirs = shipped.table(), store.table()
        assert ours.ids == theirs.ids
        assert np.array_equal(ours.rows, theirs.rows)
        assert set(ours.names) == set(theirs.names)
        for name in theirs.names:
            values = [
                [column.values[code] if code >= 0 else None for code in column.codes]
                for column in (ours.column(name), theirs.column(name))
                if column is not None
            ]
            assert values[0] == values[1], name


def test_items_without_a_title_are_counted_without_the_table_of_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = ("Shirt", "", "  ", "Shirt")
    index, bundle = tmp_path / "x.index", tmp_path / "x.zip"
    with EncodingWriter(
        index, grounding=None, encoder=GivenVectors(random_vectors(len(titles))), encoded_text="title"
    ) as store:
        store.put(
            [
                GroundedItem(Item(str(row), tmp_path / f"{row}.png", title), str(row), None, "", None, str(row))
                for row, title in enumerate(titles)
            ]
        )
    make_bundle(index, bundle)

    def table(_: BundleReader) -> None:
        raise AssertionError("The table of all items is read.")

    monkeypatch.setattr(BundleReader, "table", table)
    assert describe_index(bundle).without_title == describe_index(index).without_title == 2


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_it_recommends_what_the_index_recommends(index: Path, tmp_path: Path, kind: VectorType) -> None:
    make_bundle(index, tmp_path / "b.zip", vectors=kind)
    with Recommender.open(index) as one, Recommender.open(tmp_path / "b.zip") as other:
        ids = [item.id for item in one.store.items()]
        for history in (ids[:1], ids[5:9], ids[20:40]):
            expected, found = one.recommend(history, k=10), other.recommend(history, k=10)
            assert [hit.score for hit in found] == pytest.approx(
                [hit.score for hit in expected], abs=LARGEST_ERROR[kind]
            )
            if kind == "float32":
                assert [hit.item_id for hit in found] == [hit.item_id for hit in expected]
                assert [hit.caption for hit in found] == [hit.caption for hit in expected]
        with pytest.raises(UnknownItemError, match="did you mean"):
            other.similar("item-001")


def test_many_vectors_are_scanned_block_by_block_with_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, query = random_vectors(3000, 16), random_vectors(1, 16, seed=9)[0]
    for kind in ("float32", "float16", "int8"):
        sections = packed_sections(3000, 16, kind)
        parts = [np.concatenate(list(part)).reshape(-1) for part in packed(lambda: iter([vectors]), kind)]
        arrays = {section.name: part for section, part in zip(sections, parts, strict=True)}
        stored = PackedVectors(arrays, kind, (3000, 16), "here")
        whole = stored.scores(query)
        monkeypatch.setattr(bundle_vectors, "COPY_LIMIT", 100)
        in_blocks = PackedVectors(arrays, kind, (3000, 16), "here").scores(query)
        monkeypatch.undo()
        assert np.allclose(whole, in_blocks, atol=1e-6)
        assert np.abs(whole - vectors @ query).max() < LARGEST_ERROR[kind]
        assert np.allclose(stored[[7, 5]], vectors[[7, 5]], atol=LARGEST_ERROR[kind])


def test_vectors_that_no_item_has_are_not_shipped(tmp_path: Path) -> None:
    index = write_index(tmp_path / "i", range(10))
    removed(index, ["item-003é", "item-004é"])
    make_bundle(index, tmp_path / "b")
    with StoreReader(index) as store, BundleReader(tmp_path / "b") as shipped:
        assert (store.rows, shipped.rows, shipped.count()) == (10, 8, 8)
        assert shipped.rows_of(["item-003é"]) == {}
        (row,) = shipped.rows_of(["item-009é"]).values()
        (old,) = store.rows_of(["item-009é"]).values()
        assert np.allclose(shipped.vectors_at([row]), store.vectors_at([old]), atol=1e-3)


def test_the_same_index_gives_the_same_bytes(index: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip", "a", "b"):
        make_bundle(index, tmp_path / name, vectors="int8")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["items.bin", "manifest.json", "vectors.bin"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        for name in files:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() == archive.read(name)


def test_vectors_in_a_zip_file_lie_where_numpy_can_use_them(index: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "b.zip", vectors="float32")
    with BundleReader(tmp_path / "b.zip") as bundle:
        values = bundle.vectors._values
        assert not values.flags.owndata
        assert not values.flags.writeable
        assert values.ctypes.data % ALIGNMENT == 0


def test_opening_and_asking_writes_nothing(bundle: Path) -> None:
    def state() -> list[tuple[str, int, int]]:
        paths = sorted(bundle.parent.rglob("*"))
        return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]

    before = state()
    with Recommender.open(bundle) as shop:
        assert shop.similar("item-001é", k=3)
    assert state() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no read-only folders")
def test_it_is_read_where_nothing_may_be_written(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert len(all_of(folder)[0]) == ITEMS
    finally:
        folder.chmod(0o755)


def test_a_failed_write_leaves_the_old_bundle_and_nothing_else(folder: Path) -> None:
    before = all_of(folder)
    for out in (folder, folder.with_name("new.zip")):
        with pytest.raises(RuntimeError), bundle_output(out) as output:
            output.add("items.bin", 3, [b"abc"])
            raise RuntimeError("the power went")
    assert all_of(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_bundle_may_be_replaced_but_nothing_else(
    index: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(index, folder, vectors="int8")
    with BundleReader(folder) as bundle:
        assert bundle.manifest.content["vectors"]["type"] == "int8"
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-anna.txt").write_text("Dear Anna")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    (tmp_path / "a.zip").mkdir()
    (tmp_path / "a.zip" / "x").touch()
    for out in ("letters", "photos.zip", "a.zip", "no/such/folder"):
        with pytest.raises(UsageError):
            make_bundle(index, tmp_path / out)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for out in (index, Path()):
        with pytest.raises(UsageError, match="not a bundle"):
            make_bundle(index, out)
    assert (tmp_path / "letters" / "to-anna.txt").read_text() == "Dear Anna"
    assert (tmp_path / "photos.zip").read_bytes() == b"PK"


def test_an_index_that_is_empty_or_damaged_is_not_shipped(index: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index"):
        make_bundle(tmp_path / "nowhere", tmp_path / "b")
    write_index(tmp_path / "empty", range(0))
    with pytest.raises(StoreError, match="no items"):
        make_bundle(tmp_path / "empty", tmp_path / "b")
    damaged = write_index(tmp_path / "damaged")
    (vectors,) = damaged.glob("vectors-*.f32")
    data = bytearray(vectors.read_bytes())
    data[100] ^= 1
    vectors.write_bytes(data)
    with pytest.raises(StoreError, match="repair"):
        make_bundle(damaged, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_shop_with_one_item_is_a_shop(tmp_path: Path) -> None:
    index = write_index(tmp_path / "i", range(1))
    make_bundle(index, tmp_path / "b.zip")
    with Recommender.open(tmp_path / "b.zip") as shop:
        assert shop.recommend(["item-000é"]) == []
        assert shop.store.count() == 1
