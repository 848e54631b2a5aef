"""An index remembers how it was made, and is made in another way only where that is said and agreed to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_catalog import counts_of, items_of, table_of
from made_plugins import MadeCaptioner, MadeEncoder
from pictures import swatches
from program import Done, at_a_terminal, program

from vlm4rec_edge import ImportedCaptions, IndexFolder, IndexReport, RemakeError, build_index
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.store.reader import StoreReader

PHOTOS = 4
FORM = {
    "type": "object",
    "properties": {"season": {"type": "string", "enum": ["summer", "winter"]}},
    "required": ["season"],
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small photos."""
    return swatches(tmp_path / "photos", PHOTOS)[0].parent


def _identity(out: Path) -> dict[str, Any]:
    document = program("info", out, "--json").json
    return {name: document[name] for name in ("grounding", "encoder", "encoded_text")}


def _told(done: Done) -> str:
    assert done.code == 1
    assert done.json["error"]["kind"] == "RemakeError"
    return str(done.json["error"]["message"])


@pytest.fixture
def own_form(tmp_path: Path) -> Path:
    """A schema of the user's own."""
    (tmp_path / "form.json").write_text(json.dumps(FORM), encoding="utf-8")
    return tmp_path / "form.json"


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A table of captions that somebody else made."""
    rows = [{"id": f"{number:04}", "caption": f"a thing like no {number}"} for number in range(PHOTOS)]
    return table_of(tmp_path, rows, "captions.csv")


@pytest.mark.parametrize("way", ["captions", "structured", "prompt", "title", "path"])
def test_a_run_without_options_goes_on_as_the_index_was_made(
    photos: Path, tmp_path: Path, own_form: Path, said: Path, way: str
) -> None:
    out = tmp_path / "x.index"
    catalog: Path = photos
    options: list[object] = {
        "captions": ["--captions", said, "--captions-by", "somebody"],
        "structured": ["--schema", own_form, "--max-side", "64"],
        "prompt": ["--prompt", "What is {id}?", "--max-tokens", "4", "--temperature", "0.5", "--seed", "7"],
        "title": ["--encoded-text", "title"],
        "path": ["--encoder", shutil.copytree(installed()["all-minilm-l6-v2"], tmp_path / "own"), "--captions", said],
    }[way]
    if way == "title":
        rows = [{"id": f"{n:04}", "image": f"{n:04}.png", "title": f"Thing {n}"} for n in range(PHOTOS)]
        catalog = table_of(photos, rows)
    assert program("index", catalog, "--out", out, *options).code == 0
    before = _identity(out), items_of(out)
    again = program("index", catalog, "--out", out, "--json")
    assert (again.code, again.json["captioned"], again.json["encoded"]) == (0, 0, 0)
    assert (_identity(out), items_of(out)) == before


def test_another_way_is_not_gone_unasked_and_its_cost_is_told_first(
    photos: Path, tmp_path: Path, said: Path, own_form: Path
) -> None:
    out = tmp_path / "x.index"
    command = ["index", photos, "--out", out]
    assert program(*command, "--captions", said).code == 0
    before = _identity(out), items_of(out)
    told = _told(program(*command, "--schema", own_form, "--json"))
    assert "captions by: captions.csv -> stylist-lvlm; fields: none -> season" in told
    assert "4 of its 4 items would get another caption, 4 captions would be made and up to 4 texts encoded" in told
    assert "--remake" in told
    assert (_identity(out), items_of(out)) == before
    meant = program(*command, "--schema", own_form, "--remake", "--json")
    assert (meant.code, meant.json["captioned"]) == (0, 4)
    back = _told(program(*command, "--captions", said, "--json"))
    assert "fields: season -> none" in back
    assert "4 of its 4 items would get another caption, 0 captions would be made" in back
    # One setting is changed; the others stay.
    fewer = _told(program(*command, "--max-tokens", "5", "--json"))
    assert "max_tokens: " in fewer
    assert "fields" not in fewer


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_at_a_terminal_it_asks(photos: Path, tmp_path: Path, said: Path, answer: str, code: int) -> None:
    out = tmp_path / "x.index"
    assert program("index", photos, "--out", out, "--captions", said).code == 0
    before = items_of(out)
    done = at_a_terminal("index", photos, "--out", out, "--max-tokens", "4", answer=answer)
    assert "Go on? [y/N]" in done.err
    assert done.code == code
    assert (items_of(out) == before) == (answer == "n")


def test_a_table_of_captions_that_is_gone_is_told_and_no_model_takes_its_place(
    photos: Path, tmp_path: Path, said: Path
) -> None:
    out = tmp_path / "x.index"
    assert program("index", photos, "--out", out, "--captions", said).code == 0
    said.unlink()
    done = program("index", photos, "--out", out)
    assert done.code == 2
    assert str(said) in done.err
    assert "give it with --captions" in done.err


def test_options_of_a_model_are_not_ignored_where_titles_alone_are_encoded(photos: Path, tmp_path: Path) -> None:
    rows = [{"id": f"{n:04}", "image": f"{n:04}.png", "title": f"Thing {n}"} for n in range(PHOTOS)]
    command = ["index", table_of(photos, rows), "--out", tmp_path / "x.index"]
    assert program(*command, "--encoded-text", "title").code == 0
    done = program(*command, "--structured")
    assert done.code == 2
    assert "--encoded-text caption" in done.err
    told = _told(program(*command, "--structured", "--encoded-text", "caption", "--json"))
    assert "encoded text: title -> caption" in told
    assert "4 captions would be made" in told


def _index(photos: Path, out: Path, **settings: Any) -> IndexReport:
    return build_index(photos, out, **{"captioner": MadeCaptioner(), "encoder": MadeEncoder(), **settings})


class Other(MadeEncoder):
    """Another encoder."""

    def __init__(self) -> None:
        super().__init__(identity={"name": "other", "version": 2})


@pytest.mark.parametrize(
    ("settings", "differences", "cost"),
    [
        (
            {"captioner": MadeCaptioner(identity={"name": "made", "prompt": "Who?"})},
            "prompt: 'What?' -> 'Who?'",
            (4, 4, 4),
        ),
        (
            {"captioner": MadeCaptioner(identity={"name": "b", "prompt": "What?", "v": 2})},
            "captions by: made -> b",
            (4, 4, 4),
        ),
        ({"encoder": Other()}, "encoder: made -> other", (0, 0, 4)),
        ({"encoder": MadeEncoder(identity={"name": "made", "version": 2})}, "made -> another version", (0, 0, 4)),
        ({"encoded_text": "title_caption"}, "encoded text: weighted:0.9 -> title_caption", (0, 0, 4)),
        ({"encoded_text": "weighted:0.75"}, "encoded text: weighted:0.9 -> weighted:0.75", (0, 0, 4)),
    ],
)
def test_the_api_refuses_with_the_cost_in_the_error(
    photos: Path, tmp_path: Path, settings: dict[str, Any], differences: str, cost: tuple[int, int, int]
) -> None:
    rows = [{"id": f"{n:04}", "image": f"{n:04}.png", "title": f"Thing {n}"} for n in range(PHOTOS)]
    catalog, out = table_of(photos, rows), tmp_path / "x.index"
    _index(catalog, out)
    before = items_of(out)
    with pytest.raises(RemakeError) as caught:
        _index(catalog, out, **settings)
    remake = caught.value.remake
    assert differences in str(remake)
    assert (remake.items, remake.replaced, remake.captions, remake.texts) == (4, *cost)
    assert items_of(out) == before
    done = _index(catalog, out, **settings, remake=True)
    assert done.progress.captioned == cost[1]
    assert done.progress.encoded <= cost[2]
    assert done.progress.encoded == cost[2] or cost[1], "only what new captions say cannot be known before"


def test_an_index_without_items_can_be_made_in_any_way(photos: Path, tmp_path: Path) -> None:
    _index(photos, tmp_path / "x.index")
    with IndexFolder(tmp_path / "x.index") as index:
        index.remove(list(items_of(tmp_path / "x.index")))
    report = _index(photos, tmp_path / "x.index", encoder=Other())
    assert counts_of(report) == (0, 4, 4, 0)


def test_of_models_of_another_program_the_api_says_which_is_missing(photos: Path, tmp_path: Path) -> None:
    _index(photos, tmp_path / "x.index")
    done = program("index", photos, "--out", tmp_path / "x.index")
    assert done.code == 1
    assert "made by 'made', which is not found here" in done.err


def test_where_an_earlier_model_lay_is_forgotten_with_it(photos: Path, tmp_path: Path, said: Path) -> None:
    out = tmp_path / "x.index"
    build_index(photos, out, captioner=ImportedCaptions(said), encoder=MadeEncoder())
    _index(photos, out, remake=True)
    with StoreReader(out) as store:
        assert (store.meta["captioner_place"], store.meta["encoder_place"]) == ("{}", "{}")


def test_a_model_given_by_its_folder_again_keeps_the_settings(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(installed()["stylist-lvlm"], tmp_path / "own")
    command = ["index", photos, "--out", tmp_path / "x.index", "--model"]
    assert program(*command, "own", "--max-tokens", "3", cwd=tmp_path).code == 0
    again = program(*command, tmp_path / "own", "--json")
    assert (again.code, again.json["captioned"]) == (0, 0)


def test_a_first_run_that_was_stopped_at_once_left_nothing_to_remember(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.index"
    out.mkdir()
    (out / "store.sqlite").touch()
    assert _index(photos, out).items == PHOTOS
    with StoreReader(out) as store:
        assert store.meta["encoded_text"] == "weighted:0.9"


def test_how_the_columns_of_a_table_were_named_is_remembered(photos: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in photos.iterdir())[:2]
    rows = [f"sku-{number},{name},name {number},9.{number}" for number, name in enumerate(names)]
    (photos / "items.csv").write_text("\n".join(["sku,foto,title,price", *rows]), encoding="utf-8")
    named = ["--id-column", "sku", "--image-column", "foto", "--title-column", "title", "--title-column", "price"]
    table, out = photos / "items.csv", tmp_path / "named.index"
    assert program("index", table, "--out", out, *named, "--encoded-text", "title").code == 0
    again = program("index", table, "--out", out, "--json")
    assert (again.code, again.json["encoded"]) == (0, 0), again.err
    with StoreReader(out) as store:
        assert [item.title for item in store.items()] == ["name 0 9.0", "name 1 9.1"]
    assert build_index(table, out).progress.encoded == 0
    other = program("index", table, "--out", out, *named[:4], "--json")
    assert other.json["encoded"] == 2, "named otherwise, which was said"


def test_a_folder_has_no_columns_to_name(photos: Path, tmp_path: Path) -> None:
    done = program("index", photos, "--out", tmp_path / "i", "--id-column", "sku")
    assert done.code == 2
    assert "is a folder of photos, which has no columns" in done.err
