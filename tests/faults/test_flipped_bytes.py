"""Damage in any file is noticed, or makes no difference; ``repair`` and ``index`` make the index what it was."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from breaking.child import Task
from breaking.trials import damaged_copy, run_child, truth_of
from looked_after import repaired
from running.stand_ins import MadeVectors, RecordedCaptioner

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index_folder import IndexFolder, build_index
from vlm4rec_edge.indexing.report import IndexReport
from vlm4rec_edge.store.reader import StoreReader


@pytest.mark.parametrize("kind", ["flip", "tear"])
@pytest.mark.parametrize("pattern", ["store.sqlite", "vectors-*.f32", "hnsw-*.bin", "hnsw-*.json", "writer.lock"])
def test_a_damaged_file_is_noticed_or_harmless_and_mended(
    finished: Task, tmp_path: Path, pattern: str, kind: str
) -> None:
    (path,) = Path(finished.out).glob(pattern)
    task = damaged_copy(finished, tmp_path / "damaged.index", path.name, kind, random.Random(f"{pattern} {kind}"))
    ended = run_child(task)
    assert ended.code == 0, ended.said
    if pattern in {"vectors-*.f32", "hnsw-*.bin"}:
        assert ended.answer["before"] != []
    assert ended.answer["after"] == []
    assert truth_of(task).is_right


@pytest.fixture
def own(finished: Task, tmp_path: Path) -> Task:
    """The finished index, to be damaged."""
    shutil.copytree(finished.out, tmp_path / "own.index")
    shutil.copyfile(finished.log, tmp_path / "own.log")
    return replace(finished, out=str(tmp_path / "own.index"), log=str(tmp_path / "own.log"))


def _index(task: Task) -> IndexReport:
    captioner = RecordedCaptioner(Path(task.recording), Path(task.log))
    with MadeVectors() as encoder:
        return build_index(task.catalog, task.out, captioner=captioner, encoder=encoder)


def _write(task: Task, *statements: str) -> None:
    with closing(sqlite3.connect(Path(task.out) / "store.sqlite", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


_ITEM = "WHERE number = 7"


@pytest.mark.parametrize(
    ("statement", "captions_again"),
    [
        (f"UPDATE items SET vector_row = vector_row + 1 {_ITEM}", 0),
        (f"UPDATE items SET vector_row = 99999 {_ITEM}", 0),
        (f"UPDATE items SET title = 5 {_ITEM}", 0),
        (f"UPDATE items SET title = x'fffe' {_ITEM}", 0),
        (f"UPDATE items SET title = CAST(x'ff41' AS TEXT) {_ITEM}", 0),
        (f"UPDATE items SET attributes = '[' {_ITEM}", 0),
        (f"UPDATE items SET caption_key = 'none' {_ITEM}", 0),
        ("UPDATE captions SET grounding = 'none' WHERE key = (SELECT min(key) FROM captions)", 0),
        ("UPDATE groundings SET provenance = '{}x'", 0),
        ("UPDATE groundings SET fingerprint = 'none'", 0),
        ("UPDATE encoders SET provenance = 5", 0),
        ("UPDATE encoders SET fingerprint = 'none'", 0),
        ("UPDATE captions SET text = 'Another text.' WHERE key = (SELECT min(key) FROM captions)", 1),
        ("UPDATE captions SET text = CAST(x'ff' AS TEXT) WHERE key = (SELECT min(key) FROM captions)", 1),
        ("UPDATE vectors SET crc32 = 1 WHERE row = 3", 0),
        ("UPDATE vectors SET text_sha256 = 'none' WHERE row = 3", 0),
        ("UPDATE vectors SET row = -5 WHERE row = 3", 0),
        ("UPDATE vectors SET row = 1000000000 WHERE row = 3", 0),
        ("UPDATE meta SET value = '7' WHERE key = 'generation'", 0),
        ("UPDATE meta SET value = 'x' WHERE key = 'golden'", 0),
        ("UPDATE meta SET value = 'x' WHERE key = 'dimensions'", 0),
        ("DELETE FROM meta WHERE key = 'encoder'", 0),
    ],
)
def test_a_row_that_is_not_what_was_written_is_found_and_mended(own: Task, statement: str, captions_again: int) -> None:
    _write(own, statement)
    assert not IndexFolder(own.out).verify().ok
    with MadeVectors() as encoder:
        repaired(own.out, encoder=encoder)
    assert _index(own).progress.captioned == captions_again
    assert truth_of(own).is_right


def test_index_refuses_what_repair_must_mend_first(own: Task) -> None:
    _write(own, "UPDATE meta SET value = '7' WHERE key = 'generation'")
    with pytest.raises(StoreError, match="vlm4rec-edge repair"):
        _index(own)


def _zero_first_page(content: bytearray) -> None:
    content[:4096] = bytes(4096)


def _rename_a_column(content: bytearray) -> None:
    place = content.index(b"provenance TEXT")
    content[place : place + 10] = b"prowenance"


def _zero_a_page_in_the_middle(content: bytearray) -> None:
    middle = len(content) // 8192 * 4096
    content[middle : middle + 4096] = bytes(4096)


@pytest.mark.parametrize("damage", [_zero_first_page, _rename_a_column, _zero_a_page_in_the_middle])
def test_a_database_that_sqlite_cannot_read_is_salvaged(own: Task, damage: Callable[[bytearray], None]) -> None:
    path = Path(own.out) / "store.sqlite"
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    assert not IndexFolder(own.out).verify().ok
    with MadeVectors() as encoder:
        report = repaired(own.out, encoder=encoder)
    assert report.salvaged_database
    assert path.with_name("store.sqlite.damaged").read_bytes() == bytes(content)
    _index(own)
    assert truth_of(own).is_right


def test_a_database_of_a_newer_version_is_not_taken_for_damage(own: Task) -> None:
    _write(own, "PRAGMA user_version = 99", "ALTER TABLE items ADD COLUMN price REAL")
    content = (Path(own.out) / "store.sqlite").read_bytes()
    with MadeVectors() as encoder, pytest.raises(StoreError, match="upgrade"):
        repaired(own.out, encoder=encoder)
    assert (Path(own.out) / "store.sqlite").read_bytes() == content


def test_what_is_left_of_a_torn_database_is_not_captioned_again(own: Task) -> None:
    path = Path(own.out) / "store.sqlite"
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size * 2 // 3)
    with MadeVectors() as encoder:
        assert repaired(own.out, encoder=encoder).salvaged_database
    assert 0 < _index(own).progress.captioned < 90
    assert truth_of(own).is_right


def test_what_a_killed_repair_left_behind_does_no_harm(own: Task) -> None:
    path = Path(own.out) / "store.sqlite"
    for rest in ("", "-wal", "-shm"):
        path.with_name(f"store.salvaged{rest}").write_bytes(b"of another time" * 1000)
    _write(own, f"UPDATE items SET title = CAST(x'ff41' AS TEXT) {_ITEM}")
    with MadeVectors() as encoder:
        assert repaired(own.out, encoder=encoder).salvaged_database
    _index(own)
    assert truth_of(own).is_right


def test_a_reader_never_gets_a_vector_that_repair_replaced(own: Task) -> None:
    with StoreReader(own.out) as before:
        rows, known = len(before.vectors), before.vectors[:-1].copy()
        path = Path(own.out) / before.vector_file
        content = bytearray(path.read_bytes())
        content[rows * before.vectors.shape[1] * 4 - 1] ^= 0x40  # in the last row, where new ones would be written
        path.write_bytes(content)
    with StoreReader(own.out) as reader, MadeVectors() as encoder:
        repaired(own.out, encoder=encoder)
        assert (reader.vectors[:-1] == known).all()
        with StoreReader(own.out) as after:
            assert after.vector_file != reader.vector_file
