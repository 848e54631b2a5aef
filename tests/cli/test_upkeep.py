"""`add`, `remove`, `verify` and `repair` through real processes."""

from pathlib import Path

from program import program

from vlm4rec_edge.demo.drawings import Drawing, draw


def damage(index: Path, pattern: str, position: int) -> None:
    (path,) = index.glob(pattern)
    content = bytearray(path.read_bytes())
    content[position] ^= 0x40
    path.write_bytes(content)


def test_a_removed_item_is_never_recommended_and_can_come_back(own_index: Path, tmp_path: Path) -> None:
    photo = tmp_path / "new-coat.jpg"
    draw(Drawing("coat", "black", "solid", 5)).save(photo)
    assert program("add", own_index, photo, "--id", "late", "--title", "Late coat").code == 0
    assert program("similar", own_index, "late", "-k", "3", "--json").json["query"] == {"item": "late"}

    removed = program("remove", own_index, "late", "--json")
    assert removed.code == 0
    assert removed.json["removed"] == 1
    everything = program("search", own_index, "Late coat", "-k", "1000", "--json").json["recommendations"]
    assert "late" not in {hit["item_id"] for hit in everything}
    assert program("verify", own_index).code == 0

    again = program("add", own_index, photo, "--id", "late", "--json")
    assert again.json["captioned"] == 0, "the caption was kept, so coming back costs no model work"
    assert program("verify", own_index).code == 0


def test_removing_what_is_not_there_is_said_and_coded(own_index: Path) -> None:
    done = program("remove", own_index, "no-such-item", "--json")
    assert done.code == 3
    assert done.json["unknown"] == ["no-such-item"]


def test_an_id_for_several_photos_is_wrong_usage(own_index: Path, tmp_path: Path) -> None:
    done = program("add", own_index, tmp_path / "a.jpg", tmp_path / "b.jpg", "--id", "one")
    assert done.code == 2


def test_a_photo_that_can_not_be_read_is_not_added(own_index: Path, tmp_path: Path) -> None:
    done = program("add", own_index, tmp_path / "missing.jpg")
    assert done.code == 3
    assert "missing.jpg does not exist" in done.err


def test_verify_names_the_damaged_file_and_repair_mends_it(own_index: Path) -> None:
    before = program("search", own_index, "red dress", "--json").json["recommendations"]
    damage(own_index, "vectors-*.f32", 2000)
    broken = program("verify", own_index, "--json")
    assert broken.code == 1
    assert broken.json["ok"] is False
    assert broken.json["findings"][0]["file"].startswith("vectors-")

    mended = program("repair", own_index, "--json")
    assert mended.code == 0
    assert mended.json["dropped_vectors"] == 1
    assert program("verify", own_index).code == 0
    after = program("search", own_index, "red dress", "--json").json["recommendations"]
    assert [hit["item_id"] for hit in after] == [hit["item_id"] for hit in before]


def test_there_is_nothing_to_verify_or_repair_where_no_index_is(tmp_path: Path) -> None:
    for command in ("verify", "repair"):
        done = program(command, tmp_path / "nowhere", "--json")
        assert done.code == 1
        assert done.json["error"]["kind"] == "StoreError"
