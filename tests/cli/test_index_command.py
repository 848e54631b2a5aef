"""`index` through real processes: what it says, to people and to programs, and how it ends."""

from __future__ import annotations

import json
import shutil
import struct
import unicodedata
import zlib
from pathlib import Path

import pytest
from pictures import encoded, swatch, swatches
from program import program

from vlm4rec_edge import Recommender
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.quiet import load

DOCUMENT = {
    "index", "items", "captioned", "reused", "encoded", "failed", "removed", "seconds", "interrupted", "failures",
}  # fmt: skip
# Captions held short: here it matters what is done, not what is said.
BRIEF = ["--max-tokens", "4"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four small photos."""
    return swatches(tmp_path / "photos", 4)[0].parent


def _table(folder: Path, *rows: str, name: str = "items.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["id,image,title", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_folder_is_indexed_and_brought_up_to_date_by_the_same_command(photos: Path) -> None:
    command = ["index", photos, "--out", photos.parent / "shop.index", *BRIEF, "--json"]
    first = program(*command)
    assert (first.code, first.err) == (0, "")
    document = first.json
    assert set(document) >= DOCUMENT
    assert (document["items"], document["captioned"], document["reused"], document["failed"]) == (4, 4, 0, 0)
    assert (document["failures"], document["interrupted"], document["removed"]) == ([], False, 0)
    again = program(*command).json
    assert (again["items"], again["captioned"], again["reused"], again["encoded"]) == (4, 0, 4, 0)
    (photos / "0003.png").unlink()
    pruned = program(*command, "--prune").json
    assert (pruned["items"], pruned["removed"]) == (3, 1)


def test_how_far_the_embedded_model_is_to_be_trusted_is_told_once(photos: Path) -> None:
    command = ["index", photos, "--out", photos.parent / "shop.index", *BRIEF]
    told = "often wrong about anything but catalog photos of clothes"
    last = shutil.move(photos / "0003.png", photos.parent / "later.png")
    first = program(*command)
    assert told in first.err
    assert f"vlm4rec-edge items {photos.parent / 'shop.index'} --limit 5" in first.err
    shutil.move(last, photos)
    update = program(*command)
    assert "1 captioned" in update.out
    assert told not in update.out + update.err


@pytest.mark.parametrize("by", ["titles", "a table"])
def test_of_captions_that_it_did_not_make_nothing_is_said(photos: Path, by: str) -> None:
    table = _table(photos, "0000,0000.png,Red coat")
    (photos / "captions.csv").write_text("id,caption\n0000,A red coat.\n", encoding="utf-8")
    options = {"titles": ["--encoded-text", "title"], "a table": ["--captions", photos / "captions.csv"]}[by]
    done = program("index", table, "--out", photos.parent / "shop.index", *options)
    assert (done.code, done.err) == (0, "")


def test_people_are_told_in_a_sentence_what_was_done(photos: Path) -> None:
    out = photos.parent / "shop.index"
    first = program("index", photos, "--out", out, *BRIEF)
    assert first.code == 0
    assert first.out.startswith(f"{out}: 4 items; 4 captioned, ")
    assert program("index", photos, "--out", out, *BRIEF).out.startswith(
        f"{out}: 4 items, nothing new to caption or encode"
    )


def test_a_relative_catalog_works_from_any_folder_and_stores_whole_paths(photos: Path) -> None:
    _table(photos, "a,0000.png,Red")
    assert program("index", "photos/items.csv", "--out", "x.index", *BRIEF, cwd=photos.parent).code == 0
    with Recommender.open(photos.parent / "x.index") as shop:
        assert [item.image for item in shop.store.items()] == [str(photos / "0000.png")]


def test_images_may_lie_elsewhere_than_the_table(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    table = _table(tmp_path / "tables", "a,0000.png,Red", "b,0001.png,Blue")
    command = ["index", table, "--out", tmp_path / "x.index", *BRIEF]
    assert "does not exist" in program(*command).err
    assert program(*command, "--images", photos, "--json").json["items"] == 2


@pytest.mark.parametrize("text", ["title", "title_caption"])
def test_the_text_to_encode_may_be_chosen(photos: Path, text: str) -> None:
    table = _table(photos, "a,0000.png,Red coat", "b,0001.png,Red coat")
    done = program("index", table, "--out", photos.parent / "x.index", "--encode", text, *BRIEF, "--json")
    assert done.code == 0
    assert done.json["captioned"] == (0 if text == "title" else 2)
    info = program("info", photos.parent / "x.index", "--json").json
    assert info["encoded_text"] == text
    assert (info["grounding"] == {}) == (text == "title")


def test_settings_of_the_captioner_reach_the_index(photos: Path) -> None:
    out = photos.parent / "x.index"
    settings = ["--prompt", "What is {title}?", "--temperature", "0.5", "--seed", "7", "--image-size", "64"]
    table = _table(photos, "a,0000.png,Red coat")
    runtime = ["--batch", "2", "--threads", "1", "--device", "cpu"]
    assert program("index", table, "--out", out, *settings, *runtime, *BRIEF).code == 0
    grounding = program("info", out, "--json").json["grounding"]
    assert (grounding["prompt"], grounding["temperature"], grounding["seed"]) == ("What is {title}?", 0.5, 7)
    assert (grounding["max_side"], grounding["max_tokens"]) == (64, 4)


def test_models_may_be_given_by_path(photos: Path, tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    pair.mkdir()
    for path in installed()["stylist-lvlm"].glob("*.gguf"):
        shutil.copy(path, pair)
    encoder = shutil.copytree(installed()["all-minilm-l6-v2"], tmp_path / "encoder")
    out = tmp_path / "x.index"
    ask = ["--prompt", "Describe this product."]  # without its manifest the model's own question is not known
    assert program("index", photos, "--out", out, "--model", pair, "--encoder", encoder, *ask, *BRIEF).code == 0
    assert program("search", out, "red", "--encoder", encoder).code == 0


def _bomb() -> bytes:
    """A PNG of a few bytes that declares 50,000 x 50,000 pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(900)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )


def test_every_bad_row_and_photo_of_a_catalog_is_listed_and_the_good_ones_are_indexed(tmp_path: Path) -> None:
    good, whole = tmp_path / "good", encoded(swatch(200, 30, 40, size=(64, 64)))
    good.mkdir()
    animated = encoded(swatch(1, 2, 3), "GIF", save_all=True, append_images=[swatch(3, 2, 1)])
    pictures = {
        "plain.png": whole,
        "cmyk.jpg": encoded(swatch(9, 8, 7).convert("CMYK"), "JPEG"),
        "deep.tif": encoded(swatch(9, 9, 9).convert("L").convert("I;16"), "TIFF"),
        "animated.gif": animated,
        "clear.png": encoded(swatch(5, 5, 5).convert("RGBA")),
        "empty.jpg": b"",
        "cut.png": whole[: len(whole) // 2],
        "text.jpg": b"<html>404 Not Found</html>",
        "bomb.png": _bomb(),
    }
    for name, content in pictures.items():
        (good / name).write_bytes(content)
    (good / "folder.jpg").mkdir()
    bad = {
        "empty": "empty.jpg", "cut": "cut.png", "text": "text.jpg", "bomb": "bomb.png", "folder": "folder.jpg",
        "missing": "missing.jpg", "escape": "../secret.png", "absolute": "/etc/hostname",
    }  # fmt: skip
    fine = ["plain.png", "cmyk.jpg", "deep.tif", "animated.gif", "clear.png"]
    rows = [f"{Path(name).stem},{name},T" for name in fine]
    rows += [f"{name},{image},T" for name, image in bad.items()]
    table = _table(good, *rows, "plain,plain.png,again", ",plain.png,no id", "noimage,,T", "ragged")
    with table.open("ab") as stream:
        stream.write(b"caf\xe9,plain.png,T\nnul,pl\0ain.png,T\n")
    command = ["index", table, "--out", tmp_path / "x.index", *BRIEF]
    done = program(*command, "--json")
    assert done.code == 3
    document = done.json
    assert (document["items"], document["failed"]) == (len(fine), len(document["failures"]))
    reasons = {failure["where"]: failure["reason"] for failure in document["failures"]}
    wanted = {
        "empty": "0 bytes", "cut": "truncated", "text": "no format known", "bomb": "unpack to",
        "folder": "not a regular file", "missing": "does not exist", "escape": "outside", "absolute": "outside",
        "plain": "Duplicate id", "items.csv, line 16": "has no id", "noimage": "names no image",
        "items.csv, line 18": "has 1 cells", "items.csv, line 19": "not UTF-8", "items.csv, line 20": "NUL",
    }  # fmt: skip
    assert set(reasons) == set(wanted)
    for where, reason in wanted.items():
        assert reason in reasons[where], (where, reasons[where])
    shown = program(*command)
    assert shown.code == 3
    assert f"{len(wanted)} could not be used:" in shown.err
    assert all(f"  {where}: " in shown.err for where in wanted)


def test_a_missing_quote_is_told_with_its_line_and_nothing_is_pruned(photos: Path, tmp_path: Path) -> None:
    table = _table(photos, '0000,0000.png,"13"" screen"', "0001,0001.png,Dress", "0002,0002.png,Skirt")
    command = ["index", table, "--out", tmp_path / "x.index", "--encoded-text", "title", "--prune", "--json"]
    assert (program(*command).code, program(*command).json["items"]) == (0, 3)
    table.write_text(table.read_text().replace('screen"', "screen").replace("0002,0002.png,Skirt", ""))
    done = program(*command)
    assert (done.code, done.json["items"], done.json["removed"], done.json["unread"]) == (3, 3, 0, 1)
    assert "line 2 has a quote that is not closed" in done.json["failures"][0]["reason"]


def test_the_columns_of_a_table_can_be_named_and_how_it_was_read_is_told(photos: Path, tmp_path: Path) -> None:
    table = photos / "export.csv"
    table.write_text("SKU;Foto;Marke;Name\n7;0000.png;Acme;Coat\n", encoding="utf-8")
    command = ["index", table, "--out", tmp_path / "x.index", "--encoded-text", "title"]
    assert "no column id and no column image; say which with --id-column and --image-column" in program(*command).err
    named = ["--id-column", "sku", "--image-column", "foto", "--title-column", "Marke", "--title-column", "Name"]
    done = program(*command, *named)
    assert done.code == 0
    assert done.err.splitlines()[0] == "export.csv is read separated by semicolons."
    with Recommender.open(tmp_path / "x.index") as shop:
        (item,) = shop.store.items()
    assert (item.id, item.title) == ("7", "Acme Coat")


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("nowhere", "There is no catalog at"),
        ("empty-folder", "holds no photos"),
        ("empty.csv", "is empty; its first line must name the columns"),
        (
            "no-id.csv",
            "has no column id; say which with --id-column; its columns, separated by commas, are: sku | image",
        ),
    ],
)
def test_a_catalog_that_cannot_be_used_stops_the_run_before_any_work(
    tmp_path: Path, catalog: str, message: str
) -> None:
    (tmp_path / "empty-folder").mkdir()
    for name, content in {
        "empty.csv": b"",
        "no-id.csv": b"sku,image\n1,a.png\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    done = program("index", tmp_path / catalog, "--out", tmp_path / "x.index", "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "CatalogError"
    assert message in done.err
    assert str(tmp_path / catalog) in done.err
    assert not (tmp_path / "x.index").exists()


def _model_folder(place: Path, damage: str) -> Path:
    """A copy of an embedded model, or what is taken for one."""
    source = "all-minilm-l6-v2" if damage.startswith("encoder") else "stylist-lvlm"
    folder = shutil.copytree(installed()[source], place / "model")
    (text,) = [*folder.glob("stylist*.gguf"), *folder.glob("*.onnx")]
    if damage.endswith("truncated"):
        with text.open("r+b") as stream:
            stream.truncate(text.stat().st_size // 2)
    elif damage.endswith("of the wrong kind"):
        text.write_bytes(encoded(swatch(1, 2, 3)))
    if "without manifest" in damage:
        (folder / "manifest.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", "is damaged"),
        ("without manifest of the wrong kind", "GGUF"),
        ("encoder without manifest truncated", "cannot load"),
    ],
)
def test_a_model_that_cannot_be_used_stops_the_run_before_any_work(
    photos: Path, tmp_path: Path, damage: str, message: str
) -> None:
    folder = _model_folder(tmp_path, damage)
    option = "--encoder" if damage.startswith("encoder") else "--model"
    done = program("index", photos, "--out", tmp_path / "x.index", option, folder, "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "ModelError"
    assert message in done.err
    assert str(folder) in done.err
    assert not (tmp_path / "x.index").exists()


@pytest.mark.parametrize(
    ("settings", "message", "code"),
    [
        (["--prompt", "A {brnd} product."], "asks for {brnd}, but the catalog has only: title, id", 2),
        (["--prompt", "A {title product."], "lone brace", 2),
        (["--model", "smolvlm-256m-instruct"], "vlm4rec-edge models pull smolvlm-256m-instruct", 1),
        (["--model", "all-minilm-l6-v2"], "is a text encoder", 1),
        (["--projector", "nowhere.gguf"], "projector", 2),
        (["--images", "nowhere"], "does not exist", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_setting_that_cannot_be_meant_stops_the_run_before_any_work(
    photos: Path, settings: list[str], message: str, code: int
) -> None:
    table = _table(photos, "a,0000.png,Red")
    out = photos.parent / "x.index"
    done = program("index", table, "--out", out, *settings)
    assert done.code == code
    assert message in done.err
    assert not out.exists()


@pytest.mark.parametrize("device_of", ["captioner", "encoder"])
def test_a_device_that_is_missing_is_an_error_that_says_what_to_install(photos: Path, device_of: str) -> None:
    from llama_cpp import llama_supports_gpu_offload

    if (
        llama_supports_gpu_offload()
        if device_of == "captioner"
        else "CUDAExecutionProvider" in load("onnxruntime").get_available_providers()
    ):
        pytest.skip("this machine has CUDA")
    encode = ["--encode", "title"] if device_of == "encoder" else []
    table = _table(photos, "a,0000.png,Red")
    done = program("index", table, "--out", photos.parent / "x.index", "--device", "cuda", *encode, "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "DeviceError"
    assert "pip install" in done.err
    assert "--device cpu" in done.err
    assert not (photos.parent / "x.index").exists()


def test_a_place_that_is_no_place_for_an_index_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", photos):
        done = program("index", photos, "--out", place, *BRIEF, "--json")
        assert done.code == 1
        assert done.json["error"]["kind"] == "StoreError"
    assert (tmp_path / "file").read_text() == "mine"
    assert len(list(photos.iterdir())) == 4


def test_jsonl_and_parquet_tables_are_indexed_like_csv(photos: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    lines = [{"id": number, "image": f"000{number}.png", "title": None} for number in range(3)]
    (photos / "items.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nno json\n")
    done = program("index", photos / "items.jsonl", "--out", photos.parent / "j.index", *BRIEF, "--json")
    assert (done.code, done.json["items"], done.json["failures"][0]["where"]) == (3, 3, "items.jsonl, line 4")
    parquet.write_table(pyarrow.Table.from_pylist(lines), photos / "items.parquet")
    done = program("index", photos / "items.parquet", "--out", photos.parent / "j.index", *BRIEF, "--json")
    assert (done.code, done.json["reused"], done.json["items"]) == (0, 3, 3)


@pytest.mark.parametrize("option", [["--model", "x"], ["--structured"], ["--max-side", "64"], ["--batch", "2"]])
def test_captions_from_a_table_go_with_no_option_of_a_model(photos: Path, tmp_path: Path, option: list[str]) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("id,caption\n0000,a shoe\n", encoding="utf-8")
    done = program("index", photos, "--out", tmp_path / "i", "--captions", table, *option)
    assert (done.code, "--captions takes the place of a model" in done.err) == (2, True)
    assert not (tmp_path / "i").exists()


def test_an_item_stays_one_item_however_unicode_writes_its_id(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Bluse grün") for form in ("NFC", "NFD"))
    folder, index = tmp_path / "p", tmp_path / "shop.index"
    folder.mkdir()
    swatch(1, 2, 3).save(folder / f"{decomposed}.png")
    captions = tmp_path / "captions.csv"
    captions.write_text(f"id,caption\n{composed},A green blouse\n", encoding="utf-8")
    catalog = tmp_path / "catalog.csv"
    catalog.write_text(f"id,image\n{composed},p/{composed}.PNG\n{decomposed},p/{composed}.png\n", encoding="utf-8")
    assert program("index", folder, "--out", index, "--captions", captions).code == 0
    done = program("index", catalog, "--out", index, "--captions", captions, "--prune", "--json")
    assert (done.json["items"], done.json["removed"], done.json["reused"]) == (1, 0, 1)
    assert ["Duplicate id" in failure["reason"] for failure in done.json["failures"]] == [True]
    assert [item["id"] for item in program("items", index, "--json").json["items"]] == [decomposed]


def test_photos_that_are_not_there_are_told_where_titles_alone_are_encoded(photos: Path) -> None:
    table = _table(photos, "a,missing.png,red", "b,gone.png,blue", name="titles.csv")
    done = program("index", table, "--out", photos / "titles.index", "--encoded-text", "title")
    assert done.code == 0
    assert "2 photos that the catalog names are not there, the first" in done.err
    assert "missing.png" in done.err
