"""A run does what is not done yet, and no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from made_catalog import PHOTOS, Run, counts_of, items_of, rows_of, table_of, vectors_of
from pictures import swatch

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, resolve_encoder, resolve_lvlm
from vlm4rec_edge.models.manifest import read_manifest
from vlm4rec_edge.store.reader import StoreReader


def test_a_second_run_does_nothing_and_loads_no_model(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    before = items_of(out), vectors_of(out)
    with LlamaCaptioner(resolve_lvlm(), max_tokens=6) as fresh:
        report = run(photos, captioner=fresh)
        assert fresh.kv_bytes == 0
    assert counts_of(report) == (0, PHOTOS, 0, 0)
    assert (items_of(out), vectors_of(out)) == before


def test_a_changed_photo_is_captioned_again_and_no_other(run: Run, photos: Path) -> None:
    run(photos)
    swatch(255, 255, 255).save(photos / "0002.png")
    report = run(photos)
    assert counts_of(report)[:2] == (1, PHOTOS - 1)
    assert report.items == PHOTOS


def test_a_new_photo_is_captioned_and_no_other(run: Run, photos: Path) -> None:
    run(photos)
    swatch(255, 255, 255).save(photos / "new.png")
    report = run(photos)
    assert counts_of(report)[:2] == (1, PHOTOS)
    assert report.items == PHOTOS + 1


def test_a_changed_title_costs_no_model_work_where_titles_are_not_encoded(run: Run, photos: Path, out: Path) -> None:
    run(table_of(photos, rows_of(photos, title="old", brand="A")), encoded_text="caption")
    report = run(table_of(photos, rows_of(photos, title="new", brand="B", price="1")))
    assert counts_of(report) == (0, PHOTOS, 0, 0)
    for item in items_of(out).values():
        assert (item.title, item.attributes) == ("new", {"brand": "B", "price": "1"})


def test_a_changed_title_is_encoded_again_where_titles_are_encoded(
    run: Run, photos: Path, out: Path, encoder: OnnxEncoder
) -> None:
    rows = rows_of(photos, title="old")
    run(table_of(photos, rows), encoded_text="title_caption")
    rows[3]["title"] = "new"
    report = run(table_of(photos, rows), encoded_text="title_caption")
    assert counts_of(report) == (0, PHOTOS, 1, 0)
    (expected,) = encoder.encode([f"new. {items_of(out)['0003'].caption}"])
    np.testing.assert_allclose(vectors_of(out)["0003"], expected, atol=1e-5)


def test_a_changed_title_is_captioned_again_where_the_prompt_asks_for_it(run: Run, photos: Path) -> None:
    rows = rows_of(photos, title="old")
    with LlamaCaptioner(resolve_lvlm(), prompt="Describe this {title}.", max_tokens=6) as asking:
        run(table_of(photos, rows), captioner=asking)
        rows[3]["title"] = "new"
        report = run(table_of(photos, rows), captioner=asking)
    assert counts_of(report)[:2] == (1, PHOTOS - 1)


def test_another_prompt_and_another_bound_caption_everything_again(run: Run, photos: Path) -> None:
    run(photos)
    for settings in ({"prompt": "What is it?"}, {"max_tokens": 4}):
        with LlamaCaptioner(resolve_lvlm(), **{"max_tokens": 6, **settings}) as other:
            assert counts_of(run(photos, captioner=other, remake=True))[:2] == (PHOTOS, 0)
    assert counts_of(run(photos, remake=True))[:2] == (0, PHOTOS)  # what was made before the change is still known


def test_a_renamed_photo_is_a_new_item_without_a_new_caption(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    (photos / "0001.png").rename(photos / "renamed.png")
    report = run(photos)
    assert counts_of(report)[:2] == (0, PHOTOS)
    assert report.items == PHOTOS + 1
    report = run(photos, prune=True)
    assert (report.removed, report.items) == (1, PHOTOS)
    assert "0001" not in items_of(out)
    assert "renamed" in items_of(out)


def test_a_moved_folder_costs_nothing_and_the_photos_are_found_there(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    moved = photos.rename(photos.with_name("moved"))
    report = run(moved)
    assert counts_of(report) == (0, PHOTOS, 0, 0)
    assert all(Path(item.image).parent == moved for item in items_of(out).values())


def test_another_encoder_encodes_again_and_captions_nothing(
    run: Run, photos: Path, out: Path, encoder: OnnxEncoder, tmp_path: Path
) -> None:
    run(photos)
    captions = {name: item.caption for name, item in items_of(out).items()}
    folder = shutil.copytree(resolve_encoder().folder, tmp_path / "other-encoder")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["encoder"]["max_tokens"] = 4
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert read_manifest(folder).encoder != encoder.files.settings
    with OnnxEncoder(resolve_encoder(folder), threads=1) as other:
        report = run(photos, encoder=other, remake=True)
        assert counts_of(report) == (0, PHOTOS, len(set(captions.values())), 0)
        assert {name: item.caption for name, item in items_of(out).items()} == captions
        with StoreReader(out) as store:
            assert store.meta["encoder"] == other.fingerprint
            assert len(store.vectors) == len(set(captions.values()))
        (expected,) = other.encode([captions["0000"]])
    np.testing.assert_allclose(vectors_of(out)["0000"], expected, atol=1e-5)
    assert len(list(out.glob("vectors-*"))) == 1


def test_items_that_the_catalog_no_longer_has_stay_until_they_are_pruned(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    (photos / "0001.png").unlink()
    (photos / "0004.png").unlink()
    report = run(photos)
    assert (report.items, report.removed) == (PHOTOS, 0)
    report = run(photos, prune=True)
    assert (report.items, report.removed) == (PHOTOS - 2, 2)
    assert set(items_of(out)) == {"0000", "0002", "0003", "0005"}
    shutil.copy(photos / "0000.png", photos / "0001.png")
    assert counts_of(run(photos))[0] == 0
