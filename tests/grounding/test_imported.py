"""Captions that somebody else made take the place of a model, and say whose they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pictures import swatches

from vlm4rec_edge import OnnxEncoder, Recommender, build_index
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.grounding.imported import ImportedCaptions
from vlm4rec_edge.index_folder import IndexFolder

SAID = {"0000": "A red  shirt\nwith a collar.", "0001": "Blue jeans.", "0002": "A blue denim jacket."}


def table(path: Path, captions: Mapping[str, str]) -> Path:
    if path.suffix == ".jsonl":
        lines = [json.dumps({"id": item_id, "caption": text, "model": "x"}) for item_id, text in captions.items()]
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerows([("caption", "id"), *((text, item_id) for item_id, text in captions.items())])
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return swatches(tmp_path / "photos", 3)[0].parent


@pytest.mark.parametrize("name", ["said.csv", "said.jsonl"])
def test_the_words_of_the_table_are_the_captions(photos: Path, tmp_path: Path, encoder: OnnxEncoder, name: str) -> None:
    captions = ImportedCaptions(table(tmp_path / name, SAID), source="a cloud model")
    report = build_index(photos, tmp_path / "i", captioner=captions, encoder=encoder)
    assert (report.items, report.progress.captioned, report.progress.failed) == (3, 3, 0)
    with Recommender.open(tmp_path / "i") as shop:
        texts = {item.id: item.caption for item in shop.store.items()}
        assert texts == {**SAID, "0000": "A red shirt with a collar."}
        assert shop.similar("0001", k=1)[0].item_id == "0002"
        made_by = shop.store.provenance("groundings")
    assert (made_by["name"], made_by["source"], made_by["imported"]) == ("a cloud model", "a cloud model", 1)
    assert IndexFolder(tmp_path / "i").verify().ok


def test_only_what_changed_is_captioned_and_encoded_again(photos: Path, tmp_path: Path, encoder: OnnxEncoder) -> None:
    path = table(tmp_path / "said.csv", SAID)
    build_index(photos, tmp_path / "i", captioner=ImportedCaptions(path), encoder=encoder)
    same = build_index(photos, tmp_path / "i", captioner=ImportedCaptions(path), encoder=encoder)
    assert (same.progress.captioned, same.progress.encoded, same.progress.reused) == (0, 0, 3)
    table(path, {**SAID, "0001": "Grey jeans."})
    changed = build_index(photos, tmp_path / "i", captioner=ImportedCaptions(path), encoder=encoder)
    assert (changed.progress.captioned, changed.progress.encoded, changed.progress.reused) == (1, 1, 2)
    with Recommender.open(tmp_path / "i") as shop:
        assert shop.store.items_of(["0001"])["0001"].caption == "Grey jeans."


def test_two_items_with_the_same_photo_may_be_told_apart(tmp_path: Path, encoder: OnnxEncoder) -> None:
    (photo, other) = swatches(tmp_path / "photos", 2)
    other.write_bytes(photo.read_bytes())
    captions = ImportedCaptions(table(tmp_path / "said.csv", {"0000": "Left shoe.", "0001": "Right shoe."}))
    build_index(photo.parent, tmp_path / "i", captioner=captions, encoder=encoder)
    with Recommender.open(tmp_path / "i") as shop:
        assert [item.caption for item in shop.store.items()] == ["Left shoe.", "Right shoe."]


def test_an_item_without_a_caption_is_a_failure_with_a_reason(
    photos: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    captions = ImportedCaptions(table(tmp_path / "said.csv", {"0000": "A shirt.", "0001": "  ", "other": "No item."}))
    report = build_index(photos, tmp_path / "i", captioner=captions, encoder=encoder)
    reasons = {failure.where: failure.reason for failure in report.failures}
    assert report.items == 1
    assert reasons == {
        "0001": "said.csv, line 3 has an empty caption.",
        "0002": "said.csv has no caption for the item '0002'.",
    }
    assert {failure.stage for failure in report.failures} == {"grounding"}


def test_a_row_that_cannot_be_read_is_told_where_its_caption_is_missed(
    photos: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    path = table(tmp_path / "said.jsonl", {"0000": "A shirt.", "0001": "Jeans."})
    path.write_text(path.read_text(encoding="utf-8") + "\n{oops", encoding="utf-8")
    report = build_index(photos, tmp_path / "i", captioner=ImportedCaptions(path), encoder=encoder)
    (failure,) = report.failures
    assert failure.where == "0002"
    assert "line 3 is not JSON" in failure.reason


@pytest.mark.parametrize(
    ("name", "content", "because"),
    [
        ("said.xml", "id,caption\na,b\n", "not a table of captions"),
        ("nowhere.csv", None, "no table of captions"),
        ("said.csv", "id,text\na,b\n", "no column caption"),
        ("said.csv", "", "is empty"),
        ("said.csv", "id,caption\n", "holds no caption"),
        ("said.csv", "id,caption\na,x\na,y\n", "line 3 has the duplicate id 'a'"),
    ],
)
def test_a_table_that_cannot_be_meant_stops_before_the_first_photo(
    tmp_path: Path, name: str, content: str | None, because: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(CatalogError, match=because):
        ImportedCaptions(tmp_path / name)


def test_captions_without_an_id_are_nobodys_and_stop_nothing(
    photos: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    path = table(tmp_path / "said.csv", SAID)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("A stray caption.,\nAnother one.,\n")
    captions = ImportedCaptions(path, source="a cloud model")
    assert build_index(photos, tmp_path / "i", captioner=captions, encoder=encoder).items == 3


@pytest.mark.parametrize(("named", "item"), [("10004.jpg", "10004"), ("0010.JPG", "0010"), ("0010.jpg", "10")])
def test_an_id_with_the_suffix_of_a_photo_is_named_where_its_caption_is_missed(
    tmp_path: Path, encoder: OnnxEncoder, named: str, item: str
) -> None:
    photo, other = swatches(tmp_path / "photos", 2)
    catalog = tmp_path / "items.csv"
    catalog.write_text(f"id,image\n{item},{photo}\nother,{other}\n", encoding="utf-8")
    captions = ImportedCaptions(table(tmp_path / "captions.csv", {named: "A coat.", "other": "A hat."}))
    report = build_index(catalog, tmp_path / "i", captioner=captions, encoder=encoder)
    (failure,) = report.failures
    assert f"it has one for {named!r}, and every character of an id counts" in failure.reason
