"""`add`, `remove`, `verify` and `repair` through real processes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from drawings import Drawing, draw
from program import program

from vlm4rec_edge import IndexFolder, Item
from vlm4rec_edge.store.schema import DATABASE_NAME, text_crc32
from vlm4rec_edge.store.vectors import vector_file_name


def damage(index: Path, pattern: str, position: int) -> None:
    (path,) = index.glob(pattern)
    content = bytearray(path.read_bytes())
    content[position] ^= 0x40
    path.write_bytes(content)


def change(index: Path, statement: str, *values: object) -> None:
    """Change the database as no program would: damage, or the work of another version."""
    with closing(sqlite3.connect(index / DATABASE_NAME)) as database, database:
        assert database.execute(statement, values).rowcount > 0


def made_by_another(index: Path, note: str) -> None:
    change(index, "UPDATE meta SET value = 'another', crc32 = ? WHERE key = ?", text_crc32(note, "another"), note)
    if note == "encoder":  # the file of vectors has its name from it
        (vectors,) = index.glob("vectors-*")
        vectors.rename(index / vector_file_name("another", int(vectors.stem.rpartition("-")[2])))


def count(index: Path, what: str) -> int:
    with closing(sqlite3.connect(index / DATABASE_NAME)) as database:
        return int(database.execute(f"SELECT count(*) FROM {what}").fetchone()[0])


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


def test_the_command_and_the_call_add_alike(own_index: Path, tmp_path: Path) -> None:
    """With as many photos captioned together, and as much memory for them."""
    copy = shutil.copytree(own_index, tmp_path / "copy")
    photos = [tmp_path / f"coat-{number}.jpg" for number in range(2)]
    for number, photo in enumerate(photos):
        draw(Drawing("coat", "black", "solid", 5 + number)).save(photo)
    command = program("add", own_index, *photos, "--json").json
    call = IndexFolder(copy).add([Item(photo.stem, photo) for photo in photos]).to_dict()
    assert command["batch"] == 2
    assert {name for name in command if command[name] != call[name]} == {"index", "seconds"}


def test_removing_what_is_not_there_is_said_and_coded(own_index: Path) -> None:
    done = program("remove", own_index, "no-such-item", "--json")
    assert done.code == 3
    assert done.json["unknown"] == ["no-such-item"]


@pytest.mark.parametrize(("note", "option"), [("encoder", "--encoder"), ("grounding", "--model")])
def test_nothing_is_added_to_what_another_model_made(own_index: Path, tmp_path: Path, note: str, option: str) -> None:
    draw(Drawing("coat", "black", "solid", 5)).save(tmp_path / "coat.jpg")
    made_by_another(own_index, note)
    vectors = count(own_index, "vectors")
    done = program("add", own_index, tmp_path / "coat.jpg")
    assert done.code == 1
    assert option in done.err
    assert count(own_index, "vectors") == vectors
    assert count(own_index, "items WHERE vector_row IS NULL") == 0


def test_an_id_that_no_item_can_have_is_said(own_index: Path, tmp_path: Path) -> None:
    not_utf8 = "caf\udce9"
    added = program("add", own_index, tmp_path / "a.jpg", "--id", not_utf8)
    assert added.code == 2
    assert "not valid Unicode" in added.err
    removed = program("remove", own_index, not_utf8)
    assert removed.code == 3


def test_an_id_for_several_photos_is_wrong_usage(own_index: Path, tmp_path: Path) -> None:
    done = program("add", own_index, tmp_path / "a.jpg", tmp_path / "b.jpg", "--id", "one")
    assert done.code == 2


def test_a_photo_that_cannot_be_read_is_not_added(own_index: Path, tmp_path: Path) -> None:
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

    repaired = program("repair", own_index, "--json")
    assert repaired.code == 0
    assert repaired.json["dropped_vectors"] == 1
    assert program("verify", own_index).code == 0
    after = program("search", own_index, "red dress", "--json").json["recommendations"]
    assert [hit["item_id"] for hit in after] == [hit["item_id"] for hit in before]


def test_there_is_nothing_to_verify_or_repair_where_no_index_is(tmp_path: Path) -> None:
    for command in ("verify", "repair"):
        done = program(command, tmp_path / "nowhere", "--json")
        assert done.code == 1
        assert done.json["error"]["kind"] == "StoreError"


def test_lost_notes_cost_the_vectors_and_repair_says_what_to_do(own_index: Path, shop: Path) -> None:
    change(own_index, "UPDATE meta SET value = 'x' WHERE key = 'golden'")
    vectors, items = count(own_index, "vectors"), count(own_index, "items")
    repaired = program("repair", own_index)
    assert repaired.code == 0
    assert f"{vectors} vectors dropped" in repaired.out
    assert "vlm4rec-edge index" in repaired.err
    assert "index` on the catalog again" in program("verify", own_index).out
    lost = program("add", own_index, shop.parent / "nothing.jpg")
    assert lost.code == 1
    assert "lost the record" in lost.err

    again = program("index", shop, "--out", own_index, "--json")
    assert again.json["captioned"] == 0
    assert again.json["items"] == items
    assert program("verify", own_index).code == 0


def test_an_item_whose_caption_lost_its_key_is_never_recommended_by_nothing(own_index: Path) -> None:
    items = count(own_index, "items")
    change(own_index, "UPDATE captions SET key = 'z' || substr(key, 2) WHERE key = (SELECT min(key) FROM captions)")
    repaired = program("repair", own_index, "--json")
    assert repaired.json["dropped_captions"] == 1
    assert repaired.json["dropped_items"] >= 1
    assert count(own_index, "items") == items - repaired.json["dropped_items"]
    assert program("verify", own_index).code == 0


def test_the_lost_name_of_the_encoder_is_noted_again_by_repair(own_index: Path, tmp_path: Path) -> None:
    change(own_index, "UPDATE encoders SET provenance = '{}'")
    searched = program("search", own_index, "red")
    assert searched.code == 1
    assert "lost the name of the encoder" in searched.err
    assert program("bundle", own_index, tmp_path / "b.zip", "--with-encoder").code == 2
    assert program("repair", own_index).code == 0
    assert program("search", own_index, "red").code == 0
