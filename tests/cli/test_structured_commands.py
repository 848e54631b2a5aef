"""`--structured` and `--schema` through real processes, from photos to attributes of what is recommended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from pictures import drawn
from program import program

from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA

FORM = {
    "type": "object",
    "properties": {
        "season": {"type": "string", "enum": ["summer", "winter"]},
        "words": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 12}},
        "colour": {"type": "string", "maxLength": 12},
    },
    "required": ["season", "words", "colour"],
}


@pytest.fixture
def form(tmp_path: Path) -> Path:
    """A schema of the user's own."""
    path = tmp_path / "form.json"
    path.write_text(json.dumps(FORM), encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three dresses; of the red one the shop itself knows the colour."""
    for colour in ("red", "black", "yellow"):
        drawn("dress", colour).save(tmp_path / f"{colour}.png")
    path = tmp_path / "shop.csv"
    path.write_text("id,image,colour\nr,red.png,crimson\nb,black.png,\ny,yellow.png,\n", encoding="utf-8")
    return path


def _attributes(index: Path) -> dict[str, dict[str, Any]]:
    found = program("search", index, "dress", "-k", "9", "--json").json["recommendations"]
    return {hit["item_id"]: hit["attributes"] for hit in found}


def test_a_structured_caption_is_a_sentence_and_its_fields(table: Path) -> None:
    photo = table.parent / "red.png"
    (said,) = program("caption", photo, "--structured", "--json").json["captions"]
    validate(said["fields"], PRODUCT_SCHEMA)
    assert list(said["fields"]) == list(PRODUCT_SCHEMA["properties"])
    assert said["caption"]
    (free,) = program("caption", photo, "--json", "--max-tokens", "4").json["captions"]
    assert free["fields"] is None


def test_people_see_the_sentence(table: Path, form: Path) -> None:
    done = program("caption", table.parent / "red.png", "--schema", form)
    assert done.code == 0
    assert "Season: " in done.out
    assert "{" not in done.out


def test_a_schema_asks_for_its_own_fields_and_they_become_attributes_where_the_shop_is_silent(
    table: Path, form: Path, tmp_path: Path
) -> None:
    index = tmp_path / "shop.index"
    done = program("index", table, "--out", index, "--schema", form, "--json")
    assert (done.code, done.json["captioned"]) == (0, 3)
    attributes = _attributes(index)
    for own in attributes.values():
        assert own["season"] in {"summer", "winter"}
    assert attributes["r"]["colour"] == "crimson"
    info = program("info", index, "--json").json
    assert (info["batch"], info["kv_bytes"]) == (done.json["batch"], done.json["kv_bytes"])
    assert min(info["batch"], info["kv_bytes"]) > 0
    assert info["caption_fields"] == ["season", "words", "colour"]
    assert info["grounding"]["structured"]["schema"]["required"] == ["season", "words", "colour"]
    assert "season, words, colour" in program("info", index).out
    assert program("verify", index).code == 0


def test_free_and_structured_captions_are_never_mixed_and_both_are_kept(
    table: Path, form: Path, tmp_path: Path
) -> None:
    index = tmp_path / "shop.index"
    structured, free = ["--schema", form, "--remake"], ["--no-structured", "--max-tokens", "6", "--remake"]
    captioned = [
        program("index", table, "--out", index, *settings, "--json").json["captioned"]
        for settings in (structured, free, structured, free)
    ]
    assert captioned == [3, 3, 0, 0]
    assert all("season" not in own for own in _attributes(index).values())
    assert program("info", index, "--json").json["caption_fields"] == []
    assert program("index", table, "--out", index, *structured).code == 0
    assert all("season" in own for own in _attributes(index).values())


def test_a_photo_added_later_is_captioned_in_the_same_form(table: Path, form: Path, tmp_path: Path) -> None:
    index, late = tmp_path / "shop.index", tmp_path / "late.png"
    drawn("t-shirt", "black").save(late)
    assert program("index", table, "--out", index, "--schema", form).code == 0
    before = program("info", index, "--json").json["grounding"]
    form.unlink()
    assert program("add", index, late, "--json").json["captioned"] == 1
    assert _attributes(index)["late"]["season"] in {"summer", "winter"}
    assert program("info", index, "--json").json["grounding"] == before
    found = program("similar", index, "--photo", late, "-k", "1", "--json").json["recommendations"]
    assert found[0]["item_id"] == "late", "a new photo is described in the same form, and so finds itself"
    winter = program("search", index, "dress", "-k", "9", "--where", "season = 'winter'", "--json").json
    summer = program("search", index, "dress", "-k", "9", "--where", "season = 'summer'", "--json").json
    assert len(winter["recommendations"]) + len(summer["recommendations"]) == 4


def test_a_schema_that_cannot_be_used_is_wrong_usage_before_any_work(table: Path, form: Path, tmp_path: Path) -> None:
    form.write_text('{"type": "object", "properties": {"price": {"type": "number"}}}', encoding="utf-8")
    for arguments in (["caption", table.parent / "red.png"], ["index", table, "--out", tmp_path / "shop.index"]):
        done = program(*arguments, "--schema", form)
        assert done.code == 2
        assert "form.json, field 'price'" in done.err
    assert not (tmp_path / "shop.index").exists()
