"""Whole runs of the program over folders full of hostile photos: the good ones are used, the others named with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from costly_photos import costly_photos
from hostile_corpus import disguises, hostile_photo
from pictures import photo_of, swatch
from program import program

from vlm4rec_edge.catalog.photo import decode_photo
from vlm4rec_edge.errors import PhotoError

GOOD = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (30, 40, 190)}
GOOD |= {"black": (10, 10, 10), "white": (250, 250, 250), "yellow": (240, 220, 40)}
BAD = 60
_SUFFIXES = (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif")


def _is_refused(content: bytes) -> bool:
    try:
        decode_photo(photo_of(content), "it")
    except PhotoError:
        return True
    return False


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six good photos among sixty bad ones, of every kind of badness."""
    folder = tmp_path_factory.mktemp("besieged")
    for name, colour in GOOD.items():
        swatch(*colour, size=(48, 64)).save(folder / f"good-{name}.png")
    contents = [content for content in disguises().values() if _is_refused(content)][:20]
    contents += [content for content in (make() for make in costly_photos().values()) if len(content) < 2_000_000][:8]
    contents += [b""]
    number = 0
    while len(contents) < BAD - 3:
        if _is_refused(content := hostile_photo(number)[1]):
            contents.append(content)
        number += 1
    for number, content in enumerate(contents):
        (folder / f"bad-{number:02}{_SUFFIXES[number % len(_SUFFIXES)]}").write_bytes(content)
    (folder / "bad-folder.jpg").mkdir()
    (folder / "bad-link.jpg").symlink_to(folder / "nothing.jpg")
    os.mkfifo(folder / "bad-pipe.jpg")
    (folder / "bad-zero.jpg").symlink_to("/dev/zero")
    return folder


def _only_sentences(lines: list[str]) -> None:
    """What is on stderr is our sentences: nothing of libtiff, libjpeg, Python or llama.cpp."""
    for line in lines:
        assert line.startswith(("  ", f"{BAD} could not be used:")), line
        assert line.endswith((".", ":", "(all with --json)")), line


def _is_a_sentence(reason: str) -> bool:
    return reason.endswith(".") and "\n" not in reason and len(reason) < 400


def test_a_besieged_folder_is_indexed_without_its_bad_photos(besieged: Path, tmp_path: Path) -> None:
    done = program("index", besieged, "--out", tmp_path / "i", "--max-tokens", "4", "--json")
    assert done.code == 3, done.err
    assert done.err == ""
    assert done.json["items"] == len(GOOD)
    failures = {failure["where"]: failure["reason"] for failure in done.json["failures"]}
    # A folder whose name looks like a photo's holds no photos; every other bad name is told, once.
    bad = {path.stem for path in besieged.iterdir() if path.stem.startswith("bad-") and not path.is_dir()}
    assert len(done.json["failures"]) == len(failures) == done.json["failed"]
    assert set(failures) == bad
    assert all(map(_is_a_sentence, failures.values())), failures
    again = program("index", besieged, "--out", tmp_path / "i", "--max-tokens", "4", "--json")
    assert (again.code, again.json["captioned"], again.json["encoded"]) == (3, 0, 0)
    assert {failure["where"]: failure["reason"] for failure in again.json["failures"]} == failures
    found = program("recommend", tmp_path / "i", "--history", "good-red", "-k", "99", "--json")
    assert {hit["item_id"] for hit in found.json["recommendations"]} == {f"good-{name}" for name in GOOD} - {"good-red"}


def test_people_see_the_first_failures_and_how_many_there_are(besieged: Path, tmp_path: Path) -> None:
    done = program("index", besieged, "--out", tmp_path / "i", "--max-tokens", "4")
    assert done.code == 3
    lines = done.err.splitlines()
    if " done; about " in lines[0]:  # the estimate that a run of more than five seconds gives
        del lines[0]
    assert lines[0] == f"{BAD} could not be used:"
    assert lines[-1].startswith("Captions by the embedded model are often wrong")
    assert lines[-2].strip() == f"... and {BAD - 20} more (all with --json)"
    _only_sentences(lines[:-1])


def test_captions_are_given_for_the_good_photos_among_bad_ones(besieged: Path) -> None:
    photos = sorted(besieged.iterdir())
    done = program("caption", *photos, "--max-tokens", "4", "--json")
    assert (done.code, done.err) == (3, "")
    assert [Path(entry["image"]).stem for entry in done.json["captions"]] == sorted(f"good-{name}" for name in GOOD)
    assert all(entry["caption"] for entry in done.json["captions"])
    failures = {failure["where"]: failure["reason"] for failure in done.json["failures"]}
    assert set(failures) >= {str(path) for path in photos if path.stem in {"bad-folder", "bad-pipe", "bad-zero"}}
    assert len(failures) == len(photos) - len(GOOD)
    assert all(map(_is_a_sentence, failures.values())), failures


def test_a_folder_of_bad_photos_only_is_told_as_such(besieged: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(disguises()["page.jpg"])
    done = program("index", tmp_path / "bad", "--out", tmp_path / "i")
    assert done.code == 3
    assert "a: The photo is in no format known here" in done.err
    answer = program("recommend", tmp_path / "i", "--history", "a")
    assert (answer.code, answer.out) == (1, "")
    assert "holds no items" in answer.err
