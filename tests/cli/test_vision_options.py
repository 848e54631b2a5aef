"""`--vision` and `--vision-precision` through real processes: what is of them in an index, and what is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictures import drawn
from program import program
from with_bf16 import BF16, why_no_bf16

from vlm4rec_edge import resolve_lvlm

pytest.importorskip("gguf")
pytest.importorskip("onnx")

FEW_WORDS = ("--max-tokens", "6")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with photos of three dresses."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in ("red", "black", "yellow"):
        drawn("dress", colour).save(folder / f"{colour}.png")
    return folder


def test_another_tower_captions_nothing_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "shop.index"
    first = program("index", photos, "--out", out, *FEW_WORDS, "--vision", "mtmd", "--json")
    assert (first.code, first.json["captioned"], first.json["tower"]) == (0, 3, "mtmd")
    drawn("coat", "red").save(photos / "coat.png")
    again = program("index", photos, "--out", out, "--vision", "onnx", "--json")
    assert (again.code, again.json["captioned"], again.json["tower"]) == (0, 1, "onnx-fp32")
    assert "vision_precision" not in program("info", out, "--json").json["grounding"]
    assert "ONNX Runtime, fp32" in program("info", out).out


@pytest.mark.parametrize(
    ("precision", "says"), [("int8", "ONNX Runtime, int8"), pytest.param("bf16", "OpenVINO, bf16", marks=BF16.marks)]
)
def test_an_index_of_a_precision_is_continued_in_it_and_changed_only_where_that_is_agreed_to(
    photos: Path, tmp_path: Path, precision: str, says: str
) -> None:
    out = tmp_path / "shop.index"
    made = ("--vision-precision", precision, "--photo-vectors", "--json")
    first = program("index", photos, "--out", out, *FEW_WORDS, *made)
    assert (first.code, first.json["captioned"], first.json["tower"]) == (0, 3, f"onnx-{precision}")
    assert program("info", out, "--json").json["grounding"]["vision_precision"] == precision
    told = " ".join(program("info", out).out.split())
    assert says in told
    assert f"by the vision encoder of stylist-lvlm, in {precision}" in told
    assert program("index", photos, "--out", out, "--json").json["captioned"] == 0
    drawn("coat", "red").save(tmp_path / "coat.png")
    added = program("add", out, tmp_path / "coat.png", "--json")
    assert (added.code, added.json["tower"]) == (0, f"onnx-{precision}")
    assert program("info", out, "--json").json["grounding"]["vision_precision"] == precision
    similar = program("similar", out, "--photo", tmp_path / "coat.png", "-k", "1", "--json")
    assert similar.json["recommendations"][0]["item_id"] == "coat"
    refused = program("index", photos, "--out", out, "--vision-precision", "fp32", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (1, "RemakeError")
    assert f"vision precision: {precision} -> fp32" in refused.json["error"]["message"]
    other = program("add", out, photos / "red.png", "--vision", "mtmd")
    assert other.code == 2
    assert "has the precision of its file" in other.err


def test_a_model_of_which_no_graph_can_be_made_is_an_error_only_where_one_is_asked_for(
    photos: Path, tmp_path: Path
) -> None:
    files = resolve_lvlm()
    shutil.copy(files.text, tmp_path)
    unknown = files.projector.read_bytes().replace(b"idefics3", b"idefics9")
    (tmp_path / files.projector.name).write_bytes(unknown)
    asked = program("caption", photos / "red.png", "--model", tmp_path, "--vision", "onnx")
    assert asked.code == 1
    assert "cannot be used with --vision onnx" in asked.err
    assert "idefics9" in asked.err
    unasked = program("caption", photos / "red.png", "--model", tmp_path)
    assert "--vision" not in unasked.err  # llama.cpp does not know the family either, which is what is told
    assert "cannot use the projector" in unasked.err


@pytest.mark.skipif(not why_no_bf16(), reason="bf16 can be computed here")
def test_bf16_that_cannot_be_computed_is_an_error_and_not_another_precision(photos: Path, tmp_path: Path) -> None:
    done = program("index", photos, "--out", tmp_path / "shop.index", *FEW_WORDS, "--vision-precision", "bf16")
    assert done.code == 1
    assert f"cannot be used with --vision-precision bf16: {why_no_bf16()}" in " ".join(done.err.split())


def test_int8_is_no_matter_of_llama_cpps_own_tower(photos: Path) -> None:
    done = program("caption", photos / "red.png", "--vision", "mtmd", "--vision-precision", "int8")
    assert done.code == 2
    assert "has the precision of its file" in done.err
