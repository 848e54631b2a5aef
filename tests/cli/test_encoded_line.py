"""The last line of `index` and `add`: what the items are recommended by, and what else they could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pictures import captioned_photos, swatches
from program import Done, at_a_terminal, program

from vlm4rec_edge import IndexProgress, IndexReport
from vlm4rec_edge.cli.encoded import told_of_encoding

PURCHASES = "; with purchases: vlm4rec-edge learn."


def _report(encoded_text: str, without_title: int = 0, **more: Any) -> IndexReport:
    report = IndexReport(Path("i"), IndexProgress(), 600, 0, 1.0, interrupted=False, failures=())
    return IndexReport(**{**vars(report), "encoded_text": encoded_text, "without_title": without_title, **more})


@pytest.mark.parametrize(
    ("encoded_text", "without_title", "line"),
    [
        (
            "weighted:0.9",
            0,
            "Recommends by title and caption, 0.9 to 0.1. Other choices: index --encoded-text title (makes no captions), "
            "caption, title_caption",
        ),
        (
            "weighted:0.75",
            37,
            "Recommends by title and caption, 0.75 to 0.25 (37 of 600 items without a title: by caption). Other choices: "
            "index --encoded-text title (makes no captions), caption, title_caption",
        ),
        (
            "title_caption",
            1,
            "Recommends by title and caption as one text (1 of 600 items without a title: by caption). Other choices: index "
            "--encoded-text weighted (title and caption), title (makes no captions), caption",
        ),
        (
            "caption",
            37,
            "Recommends by caption. Other choices: index --encoded-text weighted (title and caption), title (makes no "
            "captions), title_caption",
        ),
        (
            "title",
            0,
            "Recommends by title. Other choices: index --encoded-text weighted (title and caption), caption, title_caption",
        ),
    ],
)
def test_it_names_what_was_encoded_and_the_alternatives(encoded_text: str, without_title: int, line: str) -> None:
    assert told_of_encoding(_report(encoded_text, without_title)) == line + PURCHASES


@pytest.mark.parametrize("encoded_text", ["weighted:0.9", "caption", "title_caption"])
def test_where_no_item_has_a_title_no_choice_is_told_that_needs_one(encoded_text: str) -> None:
    line = told_of_encoding(_report(encoded_text, 600))
    assert line.startswith(
        "Recommends by caption; no item has a title. Where products have titles, these recommend better"
    )
    assert "--encoded-text" not in line


def test_what_was_learned_from_purchases_is_told_and_not_advised_again() -> None:
    for without in (0, 600):
        line = told_of_encoding(_report("weighted:0.9", without, learned=True))
        assert ", and by what was learned from purchases" in line
        assert "with purchases" not in line


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos; ``_given`` names the captions beside them."""
    return captioned_photos(tmp_path)[0]


def _indexed(photos: Path, titles: tuple[str, ...] | None, *options: str) -> Done:
    """Index the folder, or a table of it with these titles."""
    catalog = photos
    if titles is not None:
        rows = [f"000{number},000{number}.png,{title}" for number, title in enumerate(titles)]
        catalog = photos / "items.csv"
        catalog.write_text("\n".join(["id,image,title", *rows, ""]), encoding="utf-8")
    return program("index", catalog, "--out", photos.parent / "x.index", *options)


def _given(photos: Path) -> tuple[str, str]:
    return "--captions", str(photos.parent / "captions.csv")


def test_a_folder_is_recommended_by_caption(photos: Path) -> None:
    done = _indexed(photos, None, *_given(photos))
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith("Recommends by caption; no item has a title. ")
    again = _indexed(photos, None)
    assert "Recommends by" not in again.out + again.err, "nothing was new"


@pytest.mark.parametrize(
    ("titles", "told"),
    [
        (("Red coat", "Bag"), "Recommends by title and caption, 0.9 to 0.1. "),
        (("Red coat", ""), "Recommends by title and caption, 0.9 to 0.1 (1 of 2 items without a title: by caption). "),
        (("", ""), "Recommends by caption; no item has a title. "),
    ],
)
def test_a_table_is_recommended_by_what_it_has(photos: Path, titles: tuple[str, ...], told: str) -> None:
    done = _indexed(photos, titles, *_given(photos))
    assert done.out.splitlines()[-1].startswith(told)


@pytest.mark.parametrize(
    ("titles", "without", "told"),
    [
        (("Red coat", "Bag"), 0, "weighted:0.9"),
        (("Red coat", ""), 1, "weighted:0.9; 1 without a title, by caption alone"),
        (None, 2, "weighted:0.9; no item has a title, so captions alone"),
    ],
)
def test_info_tells_it_of_an_index_a_bundle_and_a_table(
    photos: Path, titles: tuple[str, ...] | None, without: int, told: str
) -> None:
    _indexed(photos, titles, *_given(photos))
    index, bundle = photos.parent / "x.index", photos.parent / "x.zip"
    table = f"lancedb://{photos.parent / 'x.lancedb'}"
    assert program("bundle", index, bundle).code == 0
    assert program("export", index, table).code == 0
    for place in (index, bundle, table):
        assert program("info", place, "--json").json["without_title"] == without
        shown = [line.split(maxsplit=1) for line in program("info", place).out.splitlines()]
        assert ["encoded", told] in shown


def test_another_choice_is_told_as_it_was_made(photos: Path) -> None:
    done = _indexed(photos, ("Red coat", "Bag"), "--encoded-text", "title")
    assert (done.code, done.out.splitlines()[-1][:20]) == (0, "Recommends by title.")
    done = _indexed(photos, ("Red coat", "Bag"), "--encode", "weighted:.750", *_given(photos), "--remake")
    assert done.out.splitlines()[-1].startswith("Recommends by title and caption, 0.75 to 0.25. ")


def test_programs_are_told_in_fields_and_without_the_line(photos: Path) -> None:
    done = _indexed(photos, ("Red coat", ""), *_given(photos), "--json")
    found = {name: done.json[name] for name in ("encoded_text", "without_title", "learned")}
    assert found == {"encoded_text": "weighted:0.9", "without_title": 1, "learned": False}
    assert "Recommends by" not in done.out + done.err


def test_add_tells_it_too(photos: Path, tmp_path: Path) -> None:
    assert _indexed(photos, ("Red coat", "Bag"), "--encoded-text", "title").code == 0
    (new,) = swatches(tmp_path / "new", 1)
    done = program("add", tmp_path / "x.index", new, "--id", "hat", "--title", "Hat")
    assert (done.code, done.out.splitlines()[-1][:20]) == (0, "Recommends by title.")


def test_after_items_were_removed_on_agreement_the_others_are_counted(tmp_path: Path) -> None:
    names = [path.name for path in swatches(tmp_path / "photos", 30)]
    captions = ["id,caption", *(f"{name[:-4]},Thing {name[:-4]}" for name in [*names, "0030.png"])]
    (tmp_path / "captions.csv").write_text("\n".join([*captions, ""]), encoding="utf-8")
    table = tmp_path / "photos" / "items.csv"
    command = ["index", table, "--out", tmp_path / "x.index"]
    rows = [f"{name[:-4]},{name},{'' if number % 2 else 'Thing'}" for number, name in enumerate(names)]
    table.write_text("\n".join(["id,image,title", *rows, ""]), encoding="utf-8")
    assert program(*command, "--captions", tmp_path / "captions.csv").code == 0
    table.write_text("\n".join(["id,image,title", *rows[:3], "0030,0000.png,New", ""]), encoding="utf-8")
    done = at_a_terminal(*command, "--prune", answer="y")
    assert done.code == 0, done.err
    assert "(1 of 4 items without a title: by caption)" in done.out.splitlines()[-1]
