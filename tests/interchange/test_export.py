"""What is exported comes back, item for item and value for value, through the libraries it was written for."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pytest
from made_store import random_vectors, write_store

from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import MissingDependencyError, StoreError, UsageError
from vlm4rec_edge.interchange.batches import attribute_columns
from vlm4rec_edge.interchange.export import FORMATS, export_items
from vlm4rec_edge.interchange.qdrant import open_client, point_id, upsert
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.recommend.source import open_source


@pytest.fixture(params=["index", "bundle"])
def shipped(request: pytest.FixtureRequest, shop_index: Path, tmp_path: Path) -> Path:
    """The shop as an index and as a bundle."""
    if request.param == "index":
        return shop_index
    make_bundle(shop_index, tmp_path / "b.zip", vectors="float32")
    return tmp_path / "b.zip"


def contents(path: Path) -> tuple[list[StoredItem], np.ndarray]:
    source, _ = open_source(path, exact_limit=0)
    items = list(source.items())
    vectors = source.vectors_at([item.row for item in items])
    source.close()
    return items, vectors


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def same_items(found: list[dict[str, Any]], items: list[StoredItem]) -> bool:
    return [(one["id"], one["title"], one["caption"], one["image"], one["attributes"]) for one in found] == [
        (item.id, item.title, item.caption, item.image, dict(item.attributes)) for item in items
    ]


def test_parquet(shipped: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    items, vectors = contents(shipped)
    report = export_items(shipped, tmp_path / "shop.parquet", "parquet")
    assert (report.items, report.dimensions, report.files) == (len(items), 384, (tmp_path / "shop.parquet",))
    table = parquet.read_table(tmp_path / "shop.parquet")
    assert table.column("id").to_pylist() == [item.id for item in items]
    assert table.column("caption").to_pylist() == [item.caption for item in items]
    for name in items[0].attributes:
        assert table.column(name).to_pylist() == [item.attributes[name] for item in items]
    found = np.array(table.column("vector").to_pylist(), dtype=np.float32)
    assert np.array_equal(found, vectors)
    assert len(table.schema.metadata[b"encoder"]) == 64


def test_jsonl_and_csv(shipped: Path, tmp_path: Path) -> None:
    items, vectors = contents(shipped)
    export_items(shipped, tmp_path / "shop.jsonl", "jsonl")
    found = records(tmp_path / "shop.jsonl")
    assert same_items(found, items)
    assert np.array_equal(np.array([one["vector"] for one in found], dtype=np.float32), vectors)
    export_items(shipped, tmp_path / "shop.csv", "csv")
    with (tmp_path / "shop.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["caption"] for row in rows] == [item.caption for item in items]
    assert np.array_equal(np.array([json.loads(row["vector"]) for row in rows], dtype=np.float32), vectors)


def test_numpy(shipped: Path, tmp_path: Path) -> None:
    items, vectors = contents(shipped)
    export_items(shipped, tmp_path / "out", "numpy")
    assert np.array_equal(np.load(tmp_path / "out" / "vectors.npy", mmap_mode="r"), vectors)
    assert same_items(records(tmp_path / "out" / "items.jsonl"), items)
    about = json.loads((tmp_path / "out" / "about.json").read_text(encoding="utf-8"))
    assert (about["items"], about["encoder"]["name"]) == (len(items), "all-minilm-l6-v2")


def test_hnswlib(shipped: Path, tmp_path: Path) -> None:
    items, vectors = contents(shipped)
    export_items(shipped, tmp_path / "out", "hnswlib")
    about = json.loads((tmp_path / "out" / "about.json").read_text(encoding="utf-8"))
    graph = hnswlib.Index(space=about["space"], dim=about["dimensions"])
    graph.load_index(str(tmp_path / "out" / "index.hnsw"))
    graph.set_ef(about["ef"])
    assert np.array_equal(graph.get_items(np.arange(len(items))), vectors)
    _, distances = graph.knn_query(vectors, k=1)
    assert distances[:, 0] == pytest.approx(0, abs=1e-5)
    assert same_items(records(tmp_path / "out" / "items.jsonl"), items)


def test_faiss(shipped: Path, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    items, vectors = contents(shipped)
    export_items(shipped, tmp_path / "out", "faiss")
    flat = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    assert (flat.ntotal, flat.d) == vectors.shape
    assert np.array_equal(flat.reconstruct_n(0, flat.ntotal), vectors)
    scores, rows = flat.search(vectors[3:4], 1)
    assert vectors[rows[0, 0]] @ vectors[3] == pytest.approx(scores[0, 0], abs=1e-5)
    assert same_items(records(tmp_path / "out" / "items.jsonl"), items)


def test_qdrant(shipped: Path, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    items, vectors = contents(shipped)
    client = open_client(str(tmp_path / "qdrant"))
    source, _ = open_source(shipped, exact_limit=0)
    for _ in range(2):  # a second time replaces, and adds nothing
        assert upsert(source, client, "shop") == len(items)
        assert client.count("shop").count == len(items)
    points, _ = client.scroll("shop", limit=len(items), with_vectors=True)
    by_id = {point.payload["id"]: point for point in points}
    for item, vector in zip(items, vectors, strict=True):
        point = by_id[item.id]
        assert point.id == point_id(item.id)
        assert (point.payload["caption"], point.payload["attributes"]) == (item.caption, dict(item.attributes))
        assert np.allclose(point.vector, vector, atol=1e-6)
    nearest = client.query_points("shop", query=vectors[2].tolist(), limit=1).points[0]
    assert nearest.score == pytest.approx(1, abs=1e-5)
    source.close()
    client.close()


def test_a_qdrant_collection_of_other_vectors_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    client = open_client(":memory:")
    for dimensions in (8, 12):
        index = write_store(tmp_path / str(dimensions), random_vectors(3, dimensions))
        source, _ = open_source(index, exact_limit=0)
        if dimensions == 8:
            assert upsert(source, client, "shop") == 3
        else:
            with pytest.raises(StoreError, match="for other vectors"):
                upsert(source, client, "shop")
        source.close()


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_never_overwritten(tmp_path: Path, form: Any) -> None:
    index = write_store(tmp_path / "i", random_vectors(3))
    (tmp_path / "there").write_text("Dear Anna")
    for place in ("there", "no/folder", "i"):
        with pytest.raises(UsageError):
            export_items(index, tmp_path / place, form)
    assert (tmp_path / "there").read_text() == "Dear Anna"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "there"]


def test_a_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = write_store(tmp_path / "i", random_vectors(3))
    monkeypatch.setattr(hnswlib.Index, "save_index", lambda *_: (_ for _ in ()).throw(RuntimeError("disk full")))
    with pytest.raises(RuntimeError):
        export_items(index, tmp_path / "out", "hnswlib")
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


def test_an_attribute_that_has_the_name_of_one_of_our_columns_gets_another(tmp_path: Path) -> None:
    class Source:
        def items(self) -> list[StoredItem]:
            names = ("caption", "attribute_caption", "colour")
            return [StoredItem("a", 0, "", "", "", dict.fromkeys(names, "x"))]

    columns = attribute_columns(Source())  # type: ignore[arg-type]
    assert len(set(columns.values())) == 3
    assert columns["colour"] == "colour"
    assert "caption" not in columns.values()


@pytest.mark.parametrize(
    ("form", "package", "command"),
    [
        ("faiss", "faiss", 'pip install "vlm4rec-edge[faiss]"'),
        ("parquet", "pyarrow", 'pip install "vlm4rec-edge[parquet]"'),
        ("qdrant", "qdrant_client", 'pip install "vlm4rec-edge[qdrant]"'),
    ],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, package: str, command: str
) -> None:
    index = write_store(tmp_path / "i", random_vectors(3))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        open_client(":memory:") if form == "qdrant" else export_items(index, tmp_path / "out", form)
    assert command in str(caught.value)
    assert not (tmp_path / "out").exists()
