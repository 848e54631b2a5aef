"""What shop systems and spreadsheets export is a catalog as it is; how it was read is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import swatch

from vlm4rec_edge.catalog.images import image_names
from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item, WebPhotos

PHOTOS = ("a.jpg", "b.jpg", "c.jpg", "m/s/d.jpg", "of two.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small photos."""
    for name in PHOTOS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        swatch(1, 2, 3).save(tmp_path / name)
    return tmp_path


def _open(folder: Path, content: str | bytes, name: str = "items.csv", **settings: object) -> Catalog:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_catalog(folder / name, **settings)  # type: ignore[arg-type]


def _items(catalog: Catalog, folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Title and photos of each item, relative to the folder; nothing may have failed."""
    items = {}
    for entry in catalog.read():
        assert isinstance(entry, Item), entry
        items[entry.id] = (entry.title, [path.relative_to(folder).as_posix() for path in entry.photos])
    return items


@pytest.mark.parametrize(
    ("content", "name", "items", "note"),
    [
        (
            '\ufeffHandle,Title,Body (HTML),Image Src\r\ntee,Plain Tee,"<p>Soft.<br>\r\nTwo, three</p>",a.jpg\r\n'
            "tee,,,b.jpg\r\ntee,,,\r\ncap,Cap,,c.jpg\r\n",
            "products_export.csv",
            {"tee": ("Plain Tee", ["a.jpg", "b.jpg"]), "cap": ("Cap", ["c.jpg"])},
            "products_export.csv is read as a Shopify export (Handle as id, Image Src as image, Title as title).",
        ),
        (
            'ID,Type,SKU,Name,Images\n11,simple,S1,Shirt,"a.jpg, b.jpg"\n12,simple,S2,Hat,c.jpg\n',
            "wc.csv",
            {"11": ("Shirt", ["a.jpg", "b.jpg"]), "12": ("Hat", ["c.jpg"])},
            "as a WooCommerce export (ID as id",
        ),
        (
            "sku,store_view_code,name,base_image,additional_images\nM1,,Tee,/m/s/d.jpg,a.jpg\nM1,fr,Maillot,/m/s/d.jpg,\n",
            "magento.csv",
            {"M1": ("Tee", ["m/s/d.jpg", "a.jpg"])},
            "as a Magento export (sku as id, base_image and additional_images as image",
        ),
        (
            'id\ttitle\timage_link\tprice\nG1\tRed "quoted" dress\ta.jpg\t15.00 USD\n',
            "feed.txt",
            {"G1": ('Red "quoted" dress', ["a.jpg"])},
            "as a Google Merchant feed",
        ),
        ("ID;Image;Title\nE1;a.jpg;Hemd\n", "excel.csv", {"E1": ("Hemd", ["a.jpg"])}, "separated by semicolons"),
        ("sep=;\nid;image\nE1;a.jpg\n", "sep.csv", {"E1": ("", ["a.jpg"])}, "separated by semicolons"),
        ("id,image,title,,\nE1,a.jpg,Hemd,,\n,,,,\n", "trailing.csv", {"E1": ("Hemd", ["a.jpg"])}, ""),
        ("id,image\rE1,a.jpg\rE2,b.jpg\r", "mac.csv", {"E1": ("", ["a.jpg"]), "E2": ("", ["b.jpg"])}, ""),
        (
            "id;image;title\nE1;a.jpg;größe\n".encode("cp1252"),
            "excel.csv",
            {"E1": ("größe", ["a.jpg"])},
            "separated by semicolons and in Windows-1252, because it is not UTF-8",
        ),
        ("id\timage\r\nE1\ta.jpg\r\n".encode("utf-16"), "u.csv", {"E1": ("", ["a.jpg"])}, "by tabs and in UTF-16"),
        ("id,image\nE1,a.jpg\n".encode("utf-16-le"), "u.csv", {"E1": ("", ["a.jpg"])}, "in UTF-16"),
    ],
)  # fmt: skip
def test_an_export_is_read_as_it_is_and_what_it_was_taken_for_is_told(
    photos: Path, content: str | bytes, name: str, items: dict[str, tuple[str, list[str]]], note: str
) -> None:
    catalog = _open(photos, content, name)
    assert _items(catalog, photos) == items
    assert note in " ".join(catalog.notes())
    assert bool(catalog.notes()) == bool(note)


def test_columns_of_any_name_can_be_given_and_titles_are_joined(photos: Path) -> None:
    columns = CatalogColumns(id="nr", image=["Foto", "foto 2"], title=("brand", "name"))
    catalog = _open(photos, "Nr,foto,foto_2,brand,name,price\n1,a.jpg,b.jpg,Acme,Coat,9\n", columns=columns)
    assert _items(catalog, photos) == {"1": ("Acme Coat", ["a.jpg", "b.jpg"])}
    assert catalog.columns == ("price",)
    assert CatalogColumns(image="Foto").wanted() == CatalogColumns(image=["Foto"]).wanted()
    with pytest.raises(CatalogError, match=r"has no column brnd; its columns, separated by commas, are: nr . image"):
        _open(photos, "nr,image\n1,a.jpg\n", columns=CatalogColumns(id="nr", title=["brnd"]))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_formats_know_the_same_columns(photos: Path, suffix: str) -> None:
    if suffix == "jsonl":
        catalog = _open(photos, '{"SKU": "1", "base_image": "a.jpg"}\n{"SKU": "2", "base_image": "b.jpg"}\n', "t.jsonl")
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"SKU": ["1", "2"], "base_image": ["a.jpg", "b.jpg"]}), photos / "t.parquet")
        catalog = open_catalog(photos / "t.parquet")
    assert _items(catalog, photos) == {"1": ("", ["a.jpg"]), "2": ("", ["b.jpg"])}
    assert "as a Magento export" in catalog.notes()[0]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("https://cdn.shop/w_400,h_300/x.jpg", ["https://cdn.shop/w_400,h_300/x.jpg"]),
        ("https://s/a,b.jpg,https://s/c.jpg", ["https://s/a,b.jpg", "https://s/c.jpg"]),
        ("https://s/a,b.jpg, https://s/c.jpg|//s/d.jpg", ["https://s/a,b.jpg", "https://s/c.jpg", "//s/d.jpg"]),
        ("https://s/a.jpg\nhttps://s/b.jpg", ["https://s/a.jpg", "https://s/b.jpg"]),
    ],
)
def test_an_address_may_hold_commas(tmp_path: Path, cell: str, wanted: list[str]) -> None:
    assert image_names(cell, tmp_path) == wanted


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg|b.jpg;a.jpg", ["a.jpg", "b.jpg"]),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("['a.jpg']", ["a.jpg"]),
        ("of%20two.jpg", ["of two.jpg"]),
        (".\\m\\s\\d.jpg", ["m/s/d.jpg"]),
        ("/a.jpg", ["a.jpg"]),
        ("red, size L.jpg", ["red, size L.jpg"]),
    ],
)
def test_a_cell_names_photos_in_the_ways_that_shops_write_them(photos: Path, cell: str, wanted: list[str]) -> None:
    quoted = cell.replace('"', '""')
    assert _items(_open(photos, f'id,image\n1,"{quoted}"\n'), photos) == {"1": ("", wanted)}


def test_a_file_address_is_a_path_and_a_file_with_a_comma_in_its_name_is_one_photo(photos: Path) -> None:
    swatch(1, 2, 3).save(photos / "a.jpg, b.jpg", "PNG")
    rows = f'1,{(photos / "of two.jpg").as_uri()}\n2,"a.jpg, b.jpg"\n'
    assert _items(_open(photos, "id,image\n" + rows), photos) == {
        "1": ("", ["of two.jpg"]),
        "2": ("", ["a.jpg, b.jpg"]),
    }


def test_a_web_address_is_told_as_one_and_kept_for_whatever_fetches_it(photos: Path) -> None:
    rows = '1,https://cdn.example.invalid/a.jpg?v=1\n2,//cdn.example.invalid/b.jpg\n3,"a.jpg,https://x.invalid/c.jpg"\n'
    one, two, three, rest = _open(photos, "id,image\n" + rows).read()
    assert isinstance(one, WebPhotos)
    assert (one.where, one.addresses) == ("1", ("https://cdn.example.invalid/a.jpg?v=1",))
    assert one.reason == "The image https://cdn.example.invalid/a.jpg?v=1 is a web address; use --fetch."
    assert isinstance(two, WebPhotos)
    assert two.addresses == ("https://cdn.example.invalid/b.jpg",)
    assert isinstance(three, Item)
    assert isinstance(rest, WebPhotos)
    assert (rest.where, rest.addresses) == ("items.csv, line 4", ("https://x.invalid/c.jpg",))


def test_a_fetched_photo_takes_the_place_of_its_address(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache") / "0.jpg"
    known = {"https://x.invalid/a.jpg": cache}
    catalog = _open(photos, "id,image\n1,https://x.invalid/a.jpg\n2,https://x.invalid/b.jpg\n", fetched=known.get)
    item, failure = catalog.read()
    assert item == Item("1", cache)
    assert isinstance(failure, WebPhotos)


def test_a_row_with_a_comma_too_many_is_told_and_not_guessed(photos: Path) -> None:
    catalog = _open(photos, "id,image,title\n1,a.jpg,Watch Rose Gold, Leather Strap\n2,b.jpg,Tee\n")
    failure, item = catalog.read()
    assert isinstance(failure, Failure)
    assert "line 2 has 4 cells, the header has 3" in failure.reason
    assert isinstance(item, Item)
