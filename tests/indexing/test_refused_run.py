"""What cannot be done is refused before any work, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from made_catalog import Run, rows_of, table_of

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index, resolve_lvlm
from vlm4rec_edge.errors import StoreError, UsageError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoded_text": "titel"}, "choose one of caption, title, title_caption"),
        ({"prompt": "A {brnd} product."}, r"asks for \{brnd\}, but the catalog has only: title, id, brand"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    run: Run, photos: Path, out: Path, settings: dict[str, str], message: str
) -> None:
    table = table_of(photos, rows_of(photos, brand="A"))
    if "prompt" in settings:
        settings = {"captioner": LlamaCaptioner(resolve_lvlm(), **settings)}  # type: ignore[arg-type, dict-item]
    with pytest.raises(UsageError, match=message):
        run(table, **settings)
    assert not out.exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("a file", "is a file; give a folder"),
        ("other files", "holds other files and is not an index"),
        ("below a file", "cannot be made or read"),
        ("long", "cannot be made or read"),
    ],
)
def test_a_place_that_cannot_hold_an_index_is_refused_before_any_work(
    photos: Path, tmp_path: Path, encoder: OnnxEncoder, place: str, message: str
) -> None:
    out = tmp_path / ("x" * 300 if place == "long" else "out")
    if place == "a file":
        out.write_text("mine")
    elif place == "other files":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    elif place == "below a file":
        out.write_text("mine")
        out = out / "index"
    captioner = LlamaCaptioner(resolve_lvlm())
    with pytest.raises(StoreError, match=message):
        build_index(photos, out, captioner=captioner, encoder=encoder)
    assert captioner.kv_bytes == 0
    assert [path.name for path in tmp_path.rglob("*.sqlite")] == []


def test_a_full_disk_is_noticed_before_any_work(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="are free at"):
        run(photos)
