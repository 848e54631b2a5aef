"""The merged index is the one that a run on the whole catalog makes, and nothing of it is made again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_plugins import MadeCaptioner, MadeEncoder
from made_shards import assert_equal, captions_made, held_by, made, models, odd_catalog, plain_catalog, vectors_of_items

from vlm4rec_edge import Captioned, CatalogColumns, IndexFolder, Recommender, UsageError, build_index
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.interchange.export import export_to_lancedb
from vlm4rec_edge.shards import merging
from vlm4rec_edge.shards.making import Models
from vlm4rec_edge.shards.merging import merge_shards
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.reading import batches, provenance
from vlm4rec_edge.shards.running import run_shards
from vlm4rec_edge.store.reader import StoreReader


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where made captions are noted."""
    return tmp_path / "captions.log"


@pytest.fixture
def done(shards: Path, log: Path) -> Path:
    """The odd catalog, with all its shards run."""
    run_shards(shards, models=models(log))
    return shards


def test_the_merged_index_equals_that_of_one_run(done: Path, whole: Path, tmp_path: Path) -> None:
    report = merge_shards(done, tmp_path / "shop.index")
    assert_equal(tmp_path / "shop.index", whole)
    held = held_by(whole)
    assert (report.items, report.failed, report.missing) == (len(held["items"]), len(held["failures"]), ())
    assert IndexFolder(tmp_path / "shop.index").verify().ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.log", "shards", "shop.index"]


def test_a_later_run_on_the_merged_index_makes_nothing_again(done: Path, odd: Path, log: Path, tmp_path: Path) -> None:
    merge_shards(done, tmp_path / "shop.index")
    before, own = captions_made(log), models(log)
    report = build_index(odd, tmp_path / "shop.index", captioner=own.captioner, encoder=own.encoder)
    assert made(report) == (0, 0)
    assert (captions_made(log) - before).total() == 1, "only the photo that failed is tried again"


def test_it_recommends_as_the_other(done: Path, whole: Path, tmp_path: Path) -> None:
    merge_shards(done, tmp_path / "shop.index")
    answers = []
    for index in (whole, tmp_path / "shop.index"):
        with Recommender.open(index) as shop:
            answers.append([(hit.item_id, round(hit.score, 5)) for hit in shop.recommend(["item-3", "item-20"], k=10)])
    assert answers[0] == answers[1]


def test_a_merged_table_is_the_one_that_the_merged_index_is_exported_to(done: Path, tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    merged, exported = f"lancedb://{tmp_path / 'merged'}", f"lancedb://{tmp_path / 'exported'}"
    report = merge_shards(done, merged)
    of_index = merge_shards(done, tmp_path / "shop.index")
    export_to_lancedb(tmp_path / "shop.index", exported)
    assert report.index == merged
    assert (report.items, report.failures, report.missing) == (of_index.items, of_index.failures, of_index.missing)
    with Recommender.open(merged) as one, Recommender.open(exported) as other:
        items = [{item.id: replace(item, row=0) for item in shop.store.items()} for shop in (one, other)]
        assert items[0] == items[1]
        assert (one.store.space, one.store.meta) == (other.store.space, other.store.meta)
        for what in ("groundings", "encoders"):
            assert one.store.provenance(what) == other.store.provenance(what)
        same = [item for item in items[0] if item in items[1]]
        np.testing.assert_allclose(one.vectors(same), other.vectors(same), atol=1e-5)


def test_a_table_takes_no_back_end(done: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="searched by LanceDB itself"):
        merge_shards(done, f"lancedb://{tmp_path / 'merged'}", index_backend="exact")


@pytest.mark.parametrize("kind", ["title", "caption", "title_caption", "weighted:0.5"])
def test_every_text_that_can_be_encoded(tmp_path: Path, log: Path, kind: str) -> None:
    table = odd_catalog(tmp_path / "shop")
    own = models(log, kind=kind)
    own = replace(own, captioner=None) if kind == "title" else own
    build_index(table, tmp_path / "whole", captioner=own.captioner, encoder=own.encoder, encoded_text=kind)
    plan_shards(table, tmp_path / "shards", rows=9)
    run_shards(tmp_path / "shards", models=own)
    merge_shards(tmp_path / "shards", tmp_path / "merged")
    assert_equal(tmp_path / "merged", tmp_path / "whole")


def _structured(photos: Any) -> Any:
    for request in photos:
        digit = int(request.photo.sha256[0], 16)
        vector = np.roll(np.eye(4, dtype=np.float32)[0], digit)
        fields = f'{{"kind": "k{digit}", "colours": ["red", "{digit}"], "price": ""}}'
        yield Captioned(request.key, f"kind k{digit}", fields, vector)


def test_fields_and_photo_vectors_come_along(tmp_path: Path) -> None:
    table = odd_catalog(tmp_path / "shop")
    captioner = MadeCaptioner(_structured, vector_identity={"name": "tower", "version": 1})
    own = Models(captioner, MadeEncoder())
    build_index(table, tmp_path / "whole", captioner=captioner, encoder=own.encoder)
    plan_shards(table, tmp_path / "shards", rows=12)
    run_shards(tmp_path / "shards", models=own)
    merge_shards(tmp_path / "shards", tmp_path / "merged")
    assert_equal(tmp_path / "merged", tmp_path / "whole")
    found = []
    for index in ("merged", "whole"):
        with StoreReader(tmp_path / index) as store:
            ids = sorted(store.ids())
            found.append(store.photos_of(ids).at(np.arange(len(ids))))
    assert np.array_equal(found[0], found[1])
    assert found[0].any(axis=1).all()
    again = build_index(table, tmp_path / "merged", captioner=captioner, encoder=own.encoder)
    assert (made(again), again.progress.photo_vectors) == ((0, 0), 0)


def test_how_columns_were_named_is_remembered(tmp_path: Path, log: Path) -> None:
    table = plain_catalog(tmp_path / "shop", 5)
    columns = CatalogColumns(title=("price",))
    plan_shards(table, tmp_path / "shards", columns=columns)
    own = models(log)
    run_shards(tmp_path / "shards", models=own)
    merge_shards(tmp_path / "shards", tmp_path / "merged")
    assert [*IndexFolder(tmp_path / "merged").catalog_columns().title] == ["price"]
    assert made(build_index(table, tmp_path / "merged", captioner=own.captioner, encoder=own.encoder)) == (0, 0)


def test_all_items_can_be_read_without_an_index(done: Path, tmp_path: Path) -> None:
    merge_shards(done, tmp_path / "shop.index")
    held, vectors = held_by(tmp_path / "shop.index"), vectors_of_items(tmp_path / "shop.index")
    row = 0
    for items, matrix in batches(done):
        assert matrix.dtype == np.float32
        for item, vector in zip(items, matrix, strict=True):
            assert item.row == row
            assert replace(item, row=0) == held["items"].pop(item.id)
            assert np.allclose(vector, vectors[item.id], atol=1e-6)
            row += 1
    assert held["items"] == {}
    assert provenance(done).making.vectors_by.identity == {"name": "made", "version": 1}


def test_missing_shards_are_named_and_refused_unless_they_may_be_missing(
    shards: Path, log: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"No shard of .* is done yet"):
        merge_shards(shards, tmp_path / "shop.index")
    run_shards(shards, [0, 2], models=models(log))
    with pytest.raises(StoreError, match=r"2 of the 4 shards of .* are missing \(1, 3\)"):
        merge_shards(shards, tmp_path / "shop.index")
    report = merge_shards(shards, tmp_path / "shop.index", partial=True)
    assert (report.missing, report.shards) == ((1, 3), 2)
    assert IndexFolder(tmp_path / "shop.index").verify().ok


def test_shards_of_other_models_are_never_mixed(done: Path, log: Path, tmp_path: Path, odd: Path) -> None:
    other = tmp_path / "other"
    plan_shards(odd, other, rows=16)
    run_shards(other, models=models(log, identity={"name": "another model"}))
    first, *_ = sorted((done / "output").iterdir())
    stranger, *_ = sorted((other / "output").iterdir())
    first.write_bytes(stranger.read_bytes())
    with pytest.raises(StoreError, match=r"other models \(another model and made\)"):
        merge_shards(done, tmp_path / "shop.index")
    assert not (tmp_path / "shop.index").exists()


def test_damage_is_found_before_there_is_an_index(done: Path, tmp_path: Path) -> None:
    path = max((done / "output").iterdir())
    content = bytearray(path.read_bytes())
    content[150] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=f"{path.name} is damaged"):
        merge_shards(done, tmp_path / "shop.index")
    assert [path.name for path in tmp_path.iterdir() if "index" in path.name] == []


def test_an_index_that_is_there_is_left_alone(done: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.index").mkdir()
    with pytest.raises(UsageError, match="there already"):
        merge_shards(done, tmp_path / "shop.index")


def test_what_a_killed_merge_left_is_no_index_and_goes_away(done: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "shop.index"
    code = (
        "import os, signal\nfrom vlm4rec_edge.shards import merging\n"
        "merging.refresh = lambda store: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"merging.merge_shards({str(done)!r}, {str(out)!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not out.exists()
    assert (tmp_path / "shop.index.merging").exists()
    merge_shards(done, out)
    assert_equal(out, whole)
    assert sorted(path.name for path in tmp_path.glob("shop.index*")) == ["shop.index"]


def test_two_merges_do_not_meet(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh = merging.refresh

    def second(store: StoreReader) -> None:
        with pytest.raises(StoreError, match="is being written by"):
            merge_shards(done, tmp_path / "shop.index")
        refresh(store)

    monkeypatch.setattr(merging, "refresh", second)
    merge_shards(done, tmp_path / "shop.index")


def test_a_graph_is_made_of_a_large_index(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm4rec_edge.index import files

    monkeypatch.setattr(files, "EXACT_LIMIT", 20)
    merge_shards(done, tmp_path / "graph.index")
    assert list((tmp_path / "graph.index").glob("hnsw-*.bin"))
    merge_shards(done, tmp_path / "exact.index", index_backend="exact")
    assert not list((tmp_path / "exact.index").glob("hnsw-*"))
