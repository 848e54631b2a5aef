"""A closed, busy, read-only or full index is told from a damaged one, and none of them is harmed by looking or repairing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from made_store import GivenVectors, random_vectors, write_store
from program import program

from vlm4rec_edge import IndexFolder
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.trouble import explained

VECTORS = random_vectors(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index."""
    return write_store(tmp_path / "s", VECTORS)


@pytest.fixture
def read_only(folder: Path) -> Iterator[Path]:
    """An index on a disk that is read-only, for root too."""
    if os.name == "nt":
        pytest.skip("needs permissions of POSIX")
    if os.geteuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    for command in (["mount", "--bind"], ["mount", "-o", "remount,ro,bind"]):
        if subprocess.run([*command, folder, folder], capture_output=True, check=False).returncode:
            pytest.skip("root may mount nothing here, and write everywhere")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def busy(folder: Path) -> Iterator[Path]:
    """An index whose database another process holds."""
    code = (
        "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "held.execute('PRAGMA journal_mode = DELETE'); held.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder / "store.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield folder
        holder.communicate()


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".sqlite", ".f32", ".damaged"}}


def test_a_closed_index_says_so(folder: Path) -> None:
    store = StoreReader(folder)
    store.close()
    with pytest.raises(StoreError, match=r"was closed; open it again\.$"):
        store.counts()


@pytest.mark.parametrize("command", [["repair"], ["remove", "item-1"]], ids=" ".join)
def test_a_read_only_index_is_told_and_not_mended(read_only: Path, command: list[str]) -> None:
    before = _content(read_only)
    done = program(command[0], read_only, *command[1:])
    assert done.code == 1
    assert "cannot be" in done.err
    assert "permissions" in done.err
    assert "damaged" not in done.err
    assert _content(read_only) == before


def test_a_read_only_index_is_read_and_checked(read_only: Path) -> None:
    assert program("recommend", read_only, "--history", "item-1").code == 0
    assert "is damaged" not in program("verify", read_only).out


@pytest.mark.parametrize("command", ["repair", "verify"])
def test_a_busy_index_is_told_and_not_mended(busy: Path, command: str) -> None:
    before = _content(busy)
    done = program(command, busy)
    assert done.code == 1
    assert "is busy: another program holds it" in done.err
    assert "damaged" not in done.err + done.out
    assert _content(busy) == before


def test_a_header_that_asks_for_a_later_sqlite_is_damage_that_is_mended(folder: Path) -> None:
    content = bytearray((folder / "store.sqlite").read_bytes())
    content[18] = 9
    (folder / "store.sqlite").write_bytes(content)
    with IndexFolder(folder) as index:
        assert index.repair(encoder=GivenVectors(VECTORS)).salvaged_database
    with StoreReader(folder) as store:
        assert store.counts()["items"] == len(VECTORS)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("INSERT INTO t VALUES (NULL)", "cannot hold a value that was given"),
        ("INSERT INTO t VALUES (zeroblob(2000000))", "The disk of .* is full"),
    ],
)
def test_a_full_disk_and_a_missing_value_are_no_damage(tmp_path: Path, sql: str, says: str) -> None:
    with closing(sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)) as database:
        database.execute("CREATE TABLE t (x TEXT NOT NULL)")
        database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(sqlite3.Error) as caught:
            database.execute(sql)
        with pytest.raises(StoreError, match=says):
            raise explained(caught.value, tmp_path / "store.sqlite")


def test_what_is_no_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"no database" * 1000)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as database:
        with pytest.raises(sqlite3.Error) as caught:
            database.execute("SELECT * FROM items")
        assert "is damaged" in str(explained(caught.value, tmp_path / "store.sqlite"))
