"""A table names photos below its own folder, or below the folder that the user names, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import swatch

from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """A shop beside something that is none of its business."""
    folder = tmp_path / "shop"
    (folder / "photos").mkdir(parents=True)
    swatch(1, 2, 3).save(folder / "photos" / "a.png")
    swatch(4, 5, 6).save(tmp_path / "secret.png")
    return folder


def _entry(folder: Path, image: str, **settings: Path) -> Item | Failure:
    table = folder / "items.csv"
    table.write_text(f'id,image\n1,"{image}"\n', encoding="utf-8")
    (entry,) = open_catalog(table, **settings).read()
    return entry


def test_an_image_is_looked_for_beside_the_table(shop_folder: Path) -> None:
    assert _entry(shop_folder, "photos/a.png") == Item("1", shop_folder / "photos" / "a.png")
    assert isinstance(_entry(shop_folder, "photos/../photos/./a.png"), Item)


def test_images_says_where_to_look_instead(shop_folder: Path, tmp_path: Path) -> None:
    entry = _entry(shop_folder, "secret.png", images=tmp_path)
    assert entry == Item("1", tmp_path / "secret.png")
    assert isinstance(_entry(shop_folder, "../secret.png", images=shop_folder / "photos"), Failure)


def test_an_absolute_path_is_good_only_below_the_folder(shop_folder: Path, tmp_path: Path) -> None:
    assert isinstance(_entry(shop_folder, str(shop_folder / "photos" / "a.png")), Item)
    assert isinstance(_entry(shop_folder, str(tmp_path / "secret.png")), Failure)


@pytest.mark.parametrize("image", ["../secret.png", "photos/../../secret.png", "/etc/passwd", "..", "out/secret.png"])
def test_a_path_out_of_the_folder_is_a_failure_that_says_what_to_do(shop_folder: Path, image: str) -> None:
    (shop_folder / "out").symlink_to(shop_folder.parent)
    entry = _entry(shop_folder, image)
    assert isinstance(entry, Failure)
    assert (entry.where, entry.stage) == ("1", "catalog")
    assert "lies outside the catalog's folder" in entry.reason
    assert "--images" in entry.reason


def test_a_loop_of_links_is_a_failure(shop_folder: Path) -> None:
    (shop_folder / "loop.png").symlink_to(shop_folder / "loop.png")
    entries = [_entry(shop_folder, "loop.png")]
    # Python 3.13 and later give such a path back as it is; then the photo, not the row, is what cannot be used.
    assert all(isinstance(entry, Failure) or not entry.image.exists() for entry in entries)


def test_a_link_to_a_table_is_relative_to_where_the_link_lies(shop_folder: Path, tmp_path: Path) -> None:
    _entry(shop_folder, "photos/a.png")
    (tmp_path / "link.csv").symlink_to(shop_folder / "items.csv")
    (entry,) = open_catalog(tmp_path / "link.csv").read()
    assert isinstance(entry, Item)
    assert not entry.image.exists()


def test_a_table_may_be_named_relative_to_the_working_folder(
    shop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _entry(shop_folder, "photos/a.png")
    monkeypatch.chdir(shop_folder)
    (entry,) = open_catalog("items.csv").read()
    assert isinstance(entry, Item)
    assert entry.image.samefile(shop_folder / "photos" / "a.png")


def test_a_folder_of_images_that_is_not_there_is_refused(shop_folder: Path) -> None:
    with pytest.raises(CatalogError, match=r"folder of images .*nowhere does not exist; give it with --images"):
        _entry(shop_folder, "a.png", images=shop_folder / "nowhere")


@pytest.mark.parametrize("image", ["photos/IMG_1.jpg", "photos/img_1.jpg", "photos/IMG_1.Jpg", "/photos/img_1.JPG"])
def test_a_photo_is_found_whatever_the_case_of_its_suffix_or_of_its_whole_name(shop_folder: Path, image: str) -> None:
    (shop_folder / "photos" / "IMG_1.JPG").write_bytes(b"")
    assert _entry(shop_folder, image) == Item("1", shop_folder / "photos" / "IMG_1.JPG")
