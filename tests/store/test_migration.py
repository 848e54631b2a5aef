"""An index of an older format is read as it is, and converted by the first who writes; nothing of it is lost."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from looked_after import removed, repaired
from made_store import EncodingWriter, GivenVectors, random_vectors

from vlm4rec_edge import OnnxEncoder, Recommender, build_index
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.reader import StoredItem, StoreReader
from vlm4rec_edge.store.schema import APPLICATION_ID, DATABASE_NAME, MIGRATIONS

_TABLES = ("meta", "groundings", "encoders", "captions", "vectors", "items", "failures")


def _format_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture(params=range(1, len(MIGRATIONS)), ids=lambda number: f"format {number}")
def old_index(own_index: Path, request: pytest.FixtureRequest) -> Path:
    """The shop's index as an older format holds it."""
    path = own_index / DATABASE_NAME
    new = path.with_name("new.sqlite")
    path.rename(new)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode = WAL; {' '.join(MIGRATIONS[: request.param])}")
        database.execute(f"PRAGMA user_version = {request.param}")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("ATTACH ? AS new", (str(new),))
        for table in _TABLES:
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    for leftover in own_index.glob("new.sqlite*"):
        leftover.unlink()
    return own_index


def _everything(folder: Path) -> tuple[list[StoredItem], dict[str, int]]:
    with StoreReader(folder) as store:
        return list(store.items()), store.counts()


def test_an_older_index_is_read_as_it_is(old_index: Path, shop_index: Path) -> None:
    before, number = (old_index / DATABASE_NAME).read_bytes(), _format_of(old_index)
    assert _everything(old_index) == _everything(shop_index)
    assert IndexFolder(old_index).verify().ok
    with Recommender.open(old_index) as old, Recommender.open(shop_index) as new:
        first = next(new.store.items()).id
        assert old.similar(first, 5) == new.similar(first, 5)
    assert (old_index / DATABASE_NAME).read_bytes() == before
    assert _format_of(old_index) == number < len(MIGRATIONS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_older_index_that_cannot_be_written_is_read(old_index: Path, shop_index: Path) -> None:
    for path in old_index.iterdir():
        path.chmod(0o444)
    old_index.chmod(0o555)
    assert _everything(old_index) == _everything(shop_index)
    old_index.chmod(0o755)


@pytest.mark.parametrize("way", ["write", "remove", "repair"])
def test_a_writer_converts_and_keeps_everything(
    old_index: Path, shop_index: Path, encoder: OnnxEncoder, way: str
) -> None:
    if way == "write":
        EncodingWriter(old_index, grounding=None, encoder=encoder, encoded_text="caption").close()
    elif way == "remove":
        assert removed(old_index, ["nobody"]) == ("nobody",)
    else:
        report = repaired(old_index)
        assert not report.salvaged_database
        assert report.dropped_captions == report.dropped_items == report.dropped_vectors == 0
    assert _format_of(old_index) == len(MIGRATIONS)
    assert IndexFolder(old_index).verify().findings == ()
    assert _everything(old_index) == _everything(shop_index)


def test_indexing_into_an_older_index_captions_nothing_again(
    old_index: Path, shop: Path, captioner: LlamaCaptioner, encoder: OnnxEncoder
) -> None:
    report = build_index(shop, old_index, captioner=captioner, encoder=encoder)
    assert report.progress.captioned == report.progress.encoded == 0
    assert IndexFolder(old_index).verify().ok


def test_a_damaged_caption_of_an_older_index_is_still_found_after_converting(
    old_index: Path, encoder: OnnxEncoder
) -> None:
    with closing(sqlite3.connect(old_index / DATABASE_NAME, isolation_level=None)) as database:
        database.execute("UPDATE captions SET text = text || '!' WHERE key = (SELECT min(key) FROM captions)")
    assert not IndexFolder(old_index).verify().ok
    EncodingWriter(old_index, grounding=None, encoder=encoder, encoded_text="caption").close()
    assert not IndexFolder(old_index).verify().ok
    assert repaired(old_index).dropped_captions == 1
    assert IndexFolder(old_index).verify().ok


def test_an_older_database_that_was_torn_is_salvaged_into_the_new_format(old_index: Path) -> None:
    path = old_index / DATABASE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = dict(database.execute("SELECT name, rootpage FROM sqlite_master WHERE name = 'items_by_vector_row'"))
        captions = database.execute("SELECT count(*) FROM captions").fetchone()[0]
    content = bytearray(path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    start = (pages["items_by_vector_row"] - 1) * page
    content[start : start + page] = b"\xa5" * page
    path.write_bytes(bytes(content))
    report = repaired(old_index)
    assert report.salvaged_database
    assert report.dropped_captions == 0
    assert _format_of(old_index) == len(MIGRATIONS)
    assert IndexFolder(old_index).verify().ok
    assert _everything(old_index)[1]["captions"] == captions


@pytest.fixture
def structured(tmp_path: Path) -> Path:
    """A store of four items: a structured caption under different columns of the shop, and a free one."""
    said = '{"kind": "coat", "colour": "dark blue", "details": "", "uses": ["rain", "wind"]}'
    columns = [{}, {"colour": "navy", "brand": "Acme"}, {"colour": ""}]
    entries = [
        GroundedItem(Item(f"s{number}", Path("a.png"), attributes=own), "0" * 64, "k", "What?", "Coat.", "1", said)
        for number, own in enumerate(columns)
    ]
    entries.append(
        GroundedItem(Item("free", Path("a.png"), attributes={"brand": "B"}), "0" * 64, "f", "What?", "A.", "2")
    )
    vectors = GivenVectors(random_vectors(4, 8))
    with EncodingWriter(
        tmp_path / "s", grounding=("g", {"name": "n"}), encoder=vectors, encoded_text="caption"
    ) as store:
        store.put(entries)
    return tmp_path / "s"


def test_fields_are_attributes_where_the_shop_says_nothing(structured: Path) -> None:
    said = {"kind": "coat", "uses": "rain, wind"}
    with StoreReader(structured) as store:
        items = {item.id: item for item in store.items()}
    assert items["s0"].attributes == {**said, "colour": "dark blue"}
    assert items["s1"].attributes == {**said, "colour": "navy", "brand": "Acme"}
    assert items["s2"].attributes == {**said, "colour": "dark blue"}
    assert items["s1"].fields == {"kind": "coat", "colour": "dark blue", "details": "", "uses": ["rain", "wind"]}
    assert (items["free"].attributes, items["free"].fields) == ({"brand": "B"}, {})


@pytest.mark.parametrize("damage", ["7", "[]", '{"kind": [{}]}', "{"])
@pytest.mark.parametrize("column", ["captions SET fields", "items SET attributes"])
def test_damage_that_is_json_still_is_a_sentence(structured: Path, column: str, damage: str) -> None:
    with closing(sqlite3.connect(structured / DATABASE_NAME, isolation_level=None)) as database:
        database.execute(f"UPDATE {column} = ?", (damage,))
    with StoreReader(structured) as store:
        if column.startswith("items") and damage.startswith('{"'):
            assert len(list(store.items())) == 4  # nothing joins the values of a column
            return
        with pytest.raises(StoreError, match="is damaged"):
            list(store.items())


@pytest.mark.parametrize("change", ["fields || ' '", "NULL", "replace(fields, 'blue', 'red')", "x'ff'", "7"])
def test_fields_that_are_not_what_was_written_are_found(structured: Path, change: str) -> None:
    with closing(sqlite3.connect(structured / DATABASE_NAME, isolation_level=None)) as database:
        database.execute(f"UPDATE captions SET fields = {change} WHERE key = 'k'")
    assert any(
        "The caption 'k' is not what was written" in finding.problem
        for finding in IndexFolder(structured).verify().findings
    )
