"""`caption` through real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import drawn
from program import program

from vlm4rec_edge import LlamaCaptioner


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three photos of a red, a black and a yellow dress."""
    paths = [tmp_path / f"{colour}.png" for colour in ("red", "black", "yellow")]
    for path in paths:
        drawn("dress", path.stem).save(path)
    return paths


def test_captions_come_in_the_order_of_the_photos_and_are_those_of_the_api(
    photos: list[Path], captioner: LlamaCaptioner
) -> None:
    done = program("caption", *photos, photos[0], "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= {"captions", "failures"}
    assert document["failures"] == []
    assert [entry["image"] for entry in document["captions"]] == [str(photo) for photo in [*photos, photos[0]]]
    for photo, entry in zip(photos, document["captions"], strict=False):
        assert entry["caption"] == captioner.caption_file(photo)


def test_people_see_each_photo_and_below_it_its_caption(photos: list[Path]) -> None:
    done = program("caption", *photos[:2], "--prompt", "Describe this {title}product.", "--max-tokens", "3")
    assert done.code == 0
    first, words, second, more = done.out.splitlines()
    assert (first, second) == (str(photos[0]), str(photos[1]))
    assert words.startswith("  ")
    assert 1 <= len(words.split()) <= 3
    assert more.startswith("  ")


def test_a_bad_photo_is_told_and_the_others_are_captioned(photos: list[Path], tmp_path: Path) -> None:
    photos[1].write_bytes(b"bad")
    done = program("caption", *photos, tmp_path / "none.png", "--json", "--max-tokens", "3")
    assert done.code == 3
    assert [entry["image"] for entry in done.json["captions"]] == [str(photos[0]), str(photos[2])]
    assert {failure["where"] for failure in done.json["failures"]} == {str(photos[1]), str(tmp_path / "none.png")}
    assert {failure["stage"] for failure in done.json["failures"]} == {"photo"}


def test_where_no_photo_can_be_captioned_the_code_is_1(tmp_path: Path) -> None:
    done = program("caption", tmp_path / "none.png", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "none.png does not exist" in done.err
    assert "is not a regular file" in done.err


def test_a_name_that_is_no_text_is_captioned_and_shown(tmp_path: Path) -> None:
    photo = tmp_path / b"caf\xe9\x1b[31m.png".decode("utf-8", "surrogateescape")
    drawn("dress", "red").save(photo.with_name("x.png"))
    photo.with_name("x.png").rename(photo)
    done = program("caption", photo, "--max-tokens", "3", "--prompt", b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert done.code == 0
    assert "\x1b" not in done.out
    assert program("caption", photo, "--max-tokens", "3", "--json").json["captions"][0]["caption"]


def test_the_batch_and_its_memory_are_told(photos: list[Path]) -> None:
    brief = ["--max-tokens", "3", "--json"]
    few = program("caption", *photos, *brief).json
    assert few["batch"] == len(photos)
    assert program("caption", *photos, *brief, "--batch", "1").json["kv_bytes"] * len(photos) == few["kv_bytes"] > 0
    chosen = program("caption", *photos, *brief, "--batch", "auto").json
    assert chosen["captions"] == few["captions"]
    assert chosen["batch"] >= 1


@pytest.mark.parametrize("batch", ["0", "-1", "many", "1.5"])
def test_a_batch_that_is_none_is_wrong_usage(photos: list[Path], batch: str) -> None:
    done = program("caption", photos[0], "--batch", batch)
    assert done.code == 2
    assert "neither auto nor a number from 1 on" in " ".join(done.err.replace("│", " ").split())
