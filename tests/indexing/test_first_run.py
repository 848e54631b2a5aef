"""A first run captions and encodes every item once, and counts it once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_catalog import PHOTOS, Run, counts_of, items_of, table_of, vectors_of
from pictures import swatches

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index
from vlm4rec_edge.store.reader import StoreReader


def test_a_first_run_captions_and_encodes_everything(run: Run, photos: Path, out: Path, encoder: OnnxEncoder) -> None:
    report = run(photos)
    items = items_of(out)
    texts = {item.caption for item in items.values()}
    assert counts_of(report) == (PHOTOS, 0, len(texts), 0)
    assert (report.items, report.removed, report.interrupted, report.failures) == (PHOTOS, 0, False, ())
    assert set(items) == {f"{number:04}" for number in range(PHOTOS)}
    for name, vector in vectors_of(out).items():
        (expected,) = encoder.encode([items[name].caption])
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_items_that_share_a_photo_share_one_caption(
    run: Run, photos: Path, out: Path, brief_captioner: LlamaCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side, and so far apart that the first one is finished before the last one comes."""
    swatches(photos / "more", 20)
    for name in ("0000-twin", "more/zzzz-twin"):
        shutil.copy(photos / "0000.png", photos / f"{name}.png")
    asked: list[str] = []
    caption = brief_captioner.caption

    def counted(requests: Iterator[Any]) -> Iterator[Any]:
        return caption(_noting(requests, asked))

    monkeypatch.setattr(brief_captioner, "caption", counted)
    report = run(photos)
    assert len(asked) == len(set(asked)) == 20  # the first six of `more` are the six photos themselves
    assert counts_of(report)[:2] == (20, PHOTOS + 2)
    assert report.items == PHOTOS + 2 + 20
    items = items_of(out)
    assert len({items[name].row for name in ("0000", "0000-twin", "more/0000", "more/zzzz-twin")}) == 1


def _noting(requests: Iterator[Any], keys: list[str]) -> Iterator[Any]:
    for request in requests:
        keys.append(request.key)
        yield request


def test_titles_alone_need_no_photos_and_no_captioner(run: Run, photos: Path, out: Path, encoder: OnnxEncoder) -> None:
    rows = [{"id": "a", "image": "none.png", "title": "Red coat"}, {"id": "b", "image": "none.png", "title": ""}]
    report = run(table_of(photos, rows), captioner=None, encoded_text="title")
    assert counts_of(report) == (0, 0, 1, 1)
    assert report.failures[0].where == "b"
    assert "no title to encode" in report.failures[0].reason
    np.testing.assert_allclose(vectors_of(out)["a"], encoder.encode(["Red coat"])[0], atol=1e-5)


def test_the_embedded_models_are_used_where_none_are_given(photos: Path, out: Path) -> None:
    report = build_index(photos, out)
    assert report.items == PHOTOS
    with StoreReader(out) as store:
        assert store.provenance("groundings")["name"] == "stylist-lvlm"
        assert store.provenance("encoders")["name"] == "all-minilm-l6-v2"


def test_progress_counts_every_item_once_and_never_falls(run: Run, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"bad")
    seen: list[int] = []
    run(photos, on_progress=lambda progress: seen.append(progress.done))
    assert seen == list(range(1, PHOTOS + 2))


def test_every_item_is_counted_once_however_its_caption_came(run: Run, photos: Path) -> None:
    shutil.copy(photos / "0000.png", photos / "twin.png")
    (photos / "bad.png").write_bytes(b"bad")
    for _ in range(2):
        done = run(photos).progress
        assert done.captioned + done.reused + done.failed == done.done == PHOTOS + 2
