"""`--photo-vectors` of `index` and `add`, and what the other commands say about them, through real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import swatch, swatches
from program import program


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three photos that was made without photo vectors, and got them afterwards."""
    folder = tmp_path_factory.mktemp("seen")
    swatches(folder / "photos", 3)
    out = folder / "shop.index"
    made = program("index", folder / "photos", "--out", out, "--max-tokens", "6", "--json")
    assert (made.json["captioned"], made.json["photo_vectors"]) == (3, 0)
    assert program("info", out, "--json").json["photo_vectors"] == 0
    done = program("index", folder / "photos", "--out", out, "--photo-vectors")
    assert done.code == 0, done.err
    assert "3 items, nothing new to caption or encode, 3 photo vectors" in done.out
    return out


def test_info_and_verify_tell_how_many_there_are(index: Path) -> None:
    told = program("info", index, "--json").json
    assert (told["photo_vectors"], told["photo_vectors_by"]["name"]) == (3, "stylist-lvlm")
    assert "by the vision encoder of stylist-lvlm, in full precision" in " ".join(program("info", index).out.split())
    assert program("verify", index, "--json").json["photo_vectors"] == 3
    assert "3 photo vectors" in program("verify", index).out


def test_items_are_compared_by_them_where_that_is_asked_for(index: Path, shop_index: Path) -> None:
    by_words, by_photos = (
        program("similar", index, "0000", *how, "--json").json["recommendations"]
        for how in ([], ["--representation", "photos"])
    )
    assert {hit["item_id"] for hit in by_words} == {hit["item_id"] for hit in by_photos} == {"0001", "0002"}
    assert [hit["score"] for hit in by_words] != [hit["score"] for hit in by_photos]
    lacking = program("recommend", shop_index, "--history", "x", "--representation", "photos")
    assert lacking.code == 2
    assert "--photo-vectors" in lacking.err


def test_an_index_that_has_them_goes_on_making_them_and_add_too(index: Path, tmp_path: Path) -> None:
    swatch(200, 30, 40).save(tmp_path / "added.png")
    assert program("add", index, tmp_path / "added.png", "--no-photo-vectors", "--json").json["photo_vectors"] == 0
    assert program("add", index, tmp_path / "added.png", "--json").json["photo_vectors"] == 1
    swatch(30, 200, 40).save(index.parent / "photos" / "new.png")
    again = program("index", index.parent / "photos", "--out", index, "--json").json
    assert (again["captioned"], again["photo_vectors"]) == (1, 1)


@pytest.mark.parametrize("how", [["--encoded-text", "title"], ["--captions", "captions.csv"]])
def test_they_need_a_model_that_looks_at_the_photos(tmp_path: Path, how: list[str]) -> None:
    swatches(tmp_path / "photos", 1)
    (tmp_path / "captions.csv").write_text("id,caption\n0000,A shirt.\n", encoding="utf-8")
    how = [str(tmp_path / part) if part.endswith(".csv") else part for part in how]
    done = program("index", tmp_path / "photos", "--out", tmp_path / "shop.index", "--photo-vectors", *how)
    assert done.code == 2
    assert "none does. Leave it out." in done.err
    assert not (tmp_path / "shop.index").exists()


def test_repair_tells_that_they_are_lost_and_index_makes_them_again(index: Path) -> None:
    (path,) = index.glob("photos-*.f32")
    path.unlink()
    broken = program("verify", index)
    assert broken.code == 1
    assert "The photos' own vectors cannot be read" in broken.out
    done = program("repair", index)
    assert "photo vectors were damaged and dropped; nothing else depends on them" in done.err
    assert program("verify", index).code == 0
    assert program("index", index.parent / "photos", "--out", index, "--json").json["photo_vectors"] >= 3
