"""A damaged, foreign or newer store is a sentence that says what to do; it never crashes and never answers nonsense."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from made_store import EncodingWriter

from vlm4rec_edge import OnnxEncoder, Recommender
from vlm4rec_edge.errors import StoreError, Vlm4RecError
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.schema import MIGRATIONS


def _use(folder: Path) -> list[str]:
    """Ask everything of an index that a user can ask without a model, and return the ids it recommends."""
    with Recommender.open(folder) as shop:
        store = shop.store
        items = list(store.items())
        list(store.failures())
        store.counts()
        store.provenance("groundings")
        store.provenance("encoders")
        assert np.isfinite(store.vectors).all()
        return [hit.item_id for item in items[::6] for hit in shop.similar(item.id, k=5)]


def _write(folder: Path, encoder: OnnxEncoder) -> None:
    EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="caption").close()


@pytest.mark.parametrize("damage", ["empty", "text", "half", "a page", "header", "tail"])
def test_a_damaged_database_is_a_sentence_that_names_it(own_index: Path, damage: str) -> None:
    path = own_index / "store.sqlite"
    whole = path.read_bytes()
    page = 4096
    path.write_bytes(
        {
            "empty": b"",
            "text": b"id,image\n1,a.jpg\n" * 100,
            "half": whole[: len(whole) // 2],
            "a page": whole[: 2 * page] + b"\xa5" * page + whole[3 * page :],
            "header": b"\0" * 100 + whole[100:],
            "tail": whole[:-page],
        }[damage]
    )
    with pytest.raises(StoreError) as caught:
        _use(own_index)
    assert str(own_index) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_anywhere_in_the_database_gives_an_answer_or_a_sentence(own_index: Path) -> None:
    path = own_index / "store.sqlite"
    whole = path.read_bytes()
    chance = np.random.default_rng(11)
    sentences = 0
    for _ in range(80):
        content = bytearray(whole)
        place = int(chance.integers(0, len(content) - 64))
        content[place : place + 64] = chance.bytes(64)
        path.write_bytes(bytes(content))
        try:
            _use(own_index)
        except Vlm4RecError as error:
            sentences += 1
            assert str(error)
    assert sentences > 10


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "a folder"])
def test_a_vector_file_that_lacks_rows_is_a_sentence_that_says_how_to_mend_it(own_index: Path, damage: str) -> None:
    (path,) = own_index.glob("vectors-*.f32")
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(whole[:-4] if damage == "truncated" else b"")
    with pytest.raises(StoreError, match="repair") as caught:
        _use(own_index)
    assert str(path) in str(caught.value)


def test_rows_after_the_last_known_one_are_leftovers_and_do_no_harm(own_index: Path) -> None:
    expected = _use(own_index)
    (path,) = own_index.glob("vectors-*.f32")
    with path.open("ab") as stream:
        stream.write(b"\x7f" * 5000)
    assert _use(own_index) == expected


def test_a_database_of_something_else_is_refused_and_left_as_it_was(tmp_path: Path, encoder: OnnxEncoder) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with sqlite3.connect(folder / "store.sqlite") as mine:
        mine.execute("CREATE TABLE recipes (name TEXT)")
        mine.execute("INSERT INTO recipes VALUES ('soup')")
    mine.close()
    before = (folder / "store.sqlite").read_bytes()
    for use in (lambda: StoreReader(folder), lambda: _write(folder, encoder)):
        with pytest.raises(StoreError, match="is a database of something else; choose another folder"):
            use()
        assert (folder / "store.sqlite").read_bytes() == before


def test_an_index_of_a_newer_version_asks_for_an_upgrade_and_is_left_as_it_was(
    own_index: Path, encoder: OnnxEncoder
) -> None:
    database = sqlite3.connect(own_index / "store.sqlite")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    before = (own_index / "store.sqlite").read_bytes()
    for use in (lambda: StoreReader(own_index), lambda: _write(own_index, encoder)):
        with pytest.raises(StoreError, match=r"has format \d+, this version of vlm4rec-edge reads up to \d+; upgrade"):
            use()
    assert (own_index / "store.sqlite").read_bytes() == before


def test_a_damaged_lock_keeps_nobody_out(own_index: Path, encoder: OnnxEncoder) -> None:
    (own_index / "writer.lock").write_bytes(b"no database, but what a crash left" * 40)
    _write(own_index, encoder)


def test_a_reader_writes_nothing(own_index: Path) -> None:
    before = {path.name: path.read_bytes() for path in own_index.iterdir()}
    _use(own_index)
    after = {path.name: path.read_bytes() for path in own_index.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"store.sqlite-wal", "store.sqlite-shm"}  # SQLite's own, for other processes
    assert after.get("store.sqlite-wal", b"") == b""
