"""A folder of photos is a catalog."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, swatch

from vlm4rec_edge.catalog.checks import MAX_ID_CHARACTERS
from vlm4rec_edge.catalog.formats import readable_formats
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item, UnreadPart


def _photos(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        suffix = Path(name).suffix.lower()
        swatch(10, 20, 30).save(
            folder / name, "GIF" if suffix == ".gif" else "TIFF" if suffix.startswith(".tif") else "PNG"
        )
    return folder


def _ids(folder: Path) -> list[str]:
    return [entry.id for entry in open_catalog(folder).read() if isinstance(entry, Item)]


def test_an_id_is_the_path_below_the_folder_without_its_suffix(tmp_path: Path) -> None:
    _photos(tmp_path, "a.jpg", "women/shoes/b.c.png", "Café crème.webp")
    entries = {entry.id: entry for entry in open_catalog(tmp_path).read()}
    assert set(entries) == {"a", "women/shoes/b.c", "Café crème"}
    assert entries["women/shoes/b.c"] == Item("women/shoes/b.c", tmp_path / "women" / "shoes" / "b.c.png")


def test_the_order_is_by_name_and_the_same_in_every_pass(tmp_path: Path) -> None:
    names = ["b.png", "a/z.png", "a/b/c.png", "c.png", "a.png", "10.png", "9.png"]
    catalog = open_catalog(_photos(tmp_path, *names))
    first = [entry.id for entry in catalog.read()]
    assert first == ["10", "9", "a", "b", "c", "a/z", "a/b/c"]
    assert [entry.id for entry in catalog.read()] == first
    assert catalog.count() == len(names)


def test_every_photo_format_counts_whatever_the_case_of_its_suffix(tmp_path: Path) -> None:
    names = ["1.jpg", "2.JPEG", "3.PNG", "4.webp", "5.gif", "6.bmp", "7.TIF", "8.tiff"]
    assert _ids(_photos(tmp_path, *names)) == [str(number) for number in range(1, 9)]


def test_other_files_and_hidden_ones_are_no_items(tmp_path: Path) -> None:
    _photos(tmp_path, "shown.png", ".hidden.png", "._shown.png", ".thumbnails/small.png")
    for name in ("notes.txt", "shop.csv", "photo.eps", "photo.png.part", "png"):
        (tmp_path / name).write_bytes(b"no photo")
    assert _ids(tmp_path) == ["shown"]


def test_what_a_file_is_its_content_says_and_what_is_no_photo_is_counted_and_named(tmp_path: Path) -> None:
    jpeg, avif = encoded(swatch(1, 2, 3), "JPEG"), encoded(swatch(1, 2, 3, size=(64, 64)), "AVIF")
    mpo = encoded(swatch(1, 2, 3), "MPO", save_all=True, append_images=[swatch(3, 2, 1)])
    photos = {"1": jpeg, "2.JFIF": jpeg, "3.avif": avif, "4.mpo": mpo, "5.photo": avif}
    heif = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    for name, content in {**photos, "6.jxl": b"\xff\x0a" + bytes(40), "7.heif-sequence": heif}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("items.csv", "notes.txt", "BMW", "film.mov", "Thumbs.db", ".DS_Store"):
        (tmp_path / name).write_bytes(b"BMW" if name == "BMW" else b"\0\0\0\x14ftypqt  " + bytes(20))
    catalog = open_catalog(tmp_path)
    entries = list(catalog.read())
    reads_heif = "HEIF" in readable_formats()
    expected = ["1", "2", "3", "4", "5", *(["7"] if reads_heif else [])]
    assert [entry.id for entry in entries if isinstance(entry, Item)] == expected
    assert catalog.notes() == ("4 files are not photos and are left out: BMW, film.mov, items.csv, notes.txt.",)
    told = {entry.where: entry.reason for entry in entries if isinstance(entry, Failure)}
    assert "is a JPEG XL picture, which is not supported; save it as JPEG or PNG." in told["6"]
    assert ("7" in told) != reads_heif
    if "7" in told:
        assert 'pip install "vlm4rec-edge[heif]"' in told["7"]
    for name in photos:
        assert decode_photo(read_photo_file(tmp_path / name), name).shape[2] == 3


def test_a_table_of_products_beside_the_photos_is_told_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    _photos(tmp_path / "images", "shirt.png")
    (tmp_path / "histories.csv").write_text("user_id,history\nAda,shirt\n")
    (tmp_path / "images" / "items.csv").write_text("id,image\nshirt,shirt.png\n")  # of a part of the folder

    def notes() -> tuple[str, ...]:
        catalog = open_catalog(tmp_path)
        list(catalog.read())
        return catalog.notes()

    assert notes() == ("2 files are not photos and are left out: histories.csv, items.csv.",)
    table = tmp_path / "products.csv"
    table.write_text("id,image,title\nshirt,images/shirt.png,A shirt\n")
    assert (
        notes()[1]
        == f"{table} is a table of products; give it in place of the folder for their ids, titles and columns."
    )


FILES = {
    "a photo": encoded(swatch(1, 2, 3)),
    "another": encoded(swatch(1, 2, 3), "GIF"),
    "broken": b"\xff\xd8\xff\xe0",
    "unread": b"8BPS" + bytes(40),
    "text": b"id,image",
    "nothing": b"",
}


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["", ".jpg", ".HEIC", ".txt", ".b.c"]), st.sampled_from(sorted(FILES)))))
def test_no_file_of_a_folder_vanishes_unnamed(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "shown.png").write_bytes(FILES["a photo"])
    for number, (suffix, content) in enumerate(files):
        (folder / f"{number}{suffix}").write_bytes(FILES[content])
    catalog = open_catalog(folder)
    entries = list(catalog.read())
    left_out = sum(int(match[1]) for note in catalog.notes() if (match := re.match(r"(\d+) file", note)))
    assert len(entries) + left_out == len(files) + 1
    assert left_out == sum(
        suffix in {"", ".txt", ".b.c"} and content in {"text", "nothing"} for suffix, content in files
    )


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_may_lead_into_the_folder_of_images(tmp_path: Path) -> None:
    _photos(tmp_path, "shop/a.png", "drive/b.png", "elsewhere/c.png")
    (tmp_path / "shop/b.png").symlink_to(tmp_path / "drive/b.png")
    (tmp_path / "shop/c.png").symlink_to(tmp_path / "elsewhere/c.png")
    a, b, c = open_catalog(tmp_path / "shop", images=tmp_path / "drive").read()
    assert (a, b) == (Item("a", tmp_path / "shop/a.png"), Item("b", tmp_path / "shop/b.png"))
    assert isinstance(c, Failure)
    assert "name the folder that holds all photos with --images" in c.reason


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_linked_folder_is_told_and_not_followed(tmp_path: Path) -> None:
    _photos(tmp_path, "shop/real/a.png", "elsewhere/b.png")
    (tmp_path / "shop/linked").symlink_to(tmp_path / "elsewhere")
    entries = list(open_catalog(tmp_path / "shop").read())
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["real/a"]
    (failure,) = [entry for entry in entries if isinstance(entry, UnreadPart)]
    assert failure.where == "linked"
    assert "is a link" in failure.reason


def test_a_folder_that_is_named_like_a_photo_is_walked_into(tmp_path: Path) -> None:
    assert _ids(_photos(tmp_path, "x.jpg/y.png")) == ["x.jpg/y"]


def test_a_folder_that_cannot_be_listed_is_a_failure_and_not_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _photos(tmp_path, "a.png", "locked/b.png", "open/c.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    entries = list(open_catalog(tmp_path).read())
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["a", "open/c"]
    (failure,) = [entry for entry in entries if isinstance(entry, Failure)]
    assert (failure.where, failure.stage) == ("locked", "catalog")
    assert "Permission denied" in failure.reason


def test_a_link_out_of_the_folder_is_a_failure_and_one_inside_is_an_item(tmp_path: Path) -> None:
    folder = _photos(tmp_path / "shop", "a.png")
    _photos(tmp_path, "secret.png")
    (folder / "inside.png").symlink_to(folder / "a.png")
    (folder / "outside.png").symlink_to(tmp_path / "secret.png")
    entries = list(open_catalog(folder).read())
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["a", "inside"]
    (failure,) = [entry for entry in entries if isinstance(entry, Failure)]
    assert failure.where == "outside"
    assert "outside the catalog's folder" in failure.reason


def test_a_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    _photos(tmp_path / "shop", "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "shop")
    assert _ids(tmp_path / "link") == ["a"]


def test_a_name_that_is_no_text_or_steers_a_terminal_is_a_failure(tmp_path: Path) -> None:
    _photos(tmp_path, "good.png", "two\nlines.png")
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.png")).write_bytes((tmp_path / "good.png").read_bytes())
    entries = list(open_catalog(tmp_path).read())
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["good"]
    failures = [entry for entry in entries if isinstance(entry, Failure)]
    assert len(failures) == 2
    for failure in failures:
        assert (failure.where + failure.reason).isprintable()
        (failure.where + failure.reason).encode("utf-8")


def test_an_id_that_no_shop_could_mean_is_a_failure(tmp_path: Path) -> None:
    deep = "/".join(["folder-of-a-very-long-name-indeed"] * (MAX_ID_CHARACTERS // 30))
    (failure,) = open_catalog(_photos(tmp_path, f"{deep}/a.png")).read()
    assert isinstance(failure, Failure)
    assert "characters" in failure.reason


@pytest.mark.parametrize("name", ["empty", "only-text"])
def test_a_folder_without_photos_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if name == "only-text":
        (folder / "notes.txt").write_text("none here")
    with pytest.raises(CatalogError, match=r"holds no photos .*\.jpg"):
        open_catalog(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing-here", "There is no catalog at"),
        ("photo.png", "is not a catalog"),
        ("archive.zip", "is not a catalog"),
        ("x" * 300, "cannot be read|There is no catalog at"),
    ],
)
def test_what_is_no_catalog_is_a_sentence_with_its_place(tmp_path: Path, name: str, message: str) -> None:
    if len(name) < 100 and "." in name:
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(CatalogError, match=message) as caught:
        open_catalog(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("given", ["s3://bucket/items.csv", Path("gs://bucket/items.csv")])
def test_an_address_is_no_catalog_and_what_to_do_is_said(given: str | Path) -> None:
    with pytest.raises(CatalogError, match="not read from an address, so copy its table to this machine"):
        open_catalog(given)
