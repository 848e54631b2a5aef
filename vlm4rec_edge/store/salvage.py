"""Save what can be read of a damaged database into a fresh one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.schema import DATABASE_NAME, has_its_schema, open_database
from vlm4rec_edge.store.trouble import UNREADABLE, explained, is_damage, trouble_of

_DAMAGED_SUFFIX = ".damaged"
# Every table with the column its rows are found by; parents before children.
_TABLES = (
    ("meta", "key"),
    ("groundings", "fingerprint"),
    ("encoders", "fingerprint"),
    ("captions", "key"),
    ("vectors", "row"),
    ("photo_vectors", "row"),
    ("items", "number"),
    ("photos", "item"),
    ("failures", "rowid"),
)
# All beginnings of three hexadecimal digits.
_KEY_RANGES = 16**3
# A header that promises more than this, many times what a million items take, is itself damaged.
_LARGEST_DATABASE = 64 * 1024**3


def salvage_if_needed(folder: Path) -> bool:
    """Replace the database of a store by what can be read of it, if that is not all; return whether it was so.

    The damaged file is kept beside it. What was saved may still be wrong: look at its checksums.

    Raises:
        StoreError: the disk is full, the database is busy, the folder cannot be written, or the database is of a newer
            version of this package. None of these is damage, and nothing is changed.
    """
    path = folder / DATABASE_NAME
    try:
        with closing(open_database(path, write=True)) as database:
            if _is_readable(database) and not _asks_for_a_newer_sqlite(path):
                return False
    except StoreError as error:
        if not (is_damage(error) or _asks_for_a_newer_sqlite(path)) or _is_whole_and_of_others(path):
            raise
    except sqlite3.Error as error:
        if trouble_of(error) not in UNREADABLE:
            raise explained(error, path) from error
    fresh = path.with_suffix(".salvaged")
    try:
        _salvage(path, fresh)
    except sqlite3.Error as error:
        raise explained(error, path) from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error}. Nothing was changed; make room, and repair again."
        ) from error
    return True


def _salvage(path: Path, fresh: Path) -> None:
    """Put what can be read of a database into a fresh one, in its place. A copy, so that there is one at every moment."""
    for file in _with_logs(fresh):  # of a repair that was killed
        file.unlink(missing_ok=True)
    shutil.copyfile(path, path.with_name(path.name + _DAMAGED_SUFFIX))
    _fill_up(path)
    with closing(sqlite3.connect(path)) as damaged, closing(open_database(fresh, write=True)) as database:
        damaged.text_factory = _decode_anyhow
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("BEGIN")
        for table, key in _TABLES:
            _copy_readable(damaged, database, table, key)
        keep_groundings_of_captions(database)
        for child, column, parent, target in (
            ("items", "caption_key", "captions", "key"),
            ("items", "vector_row", "vectors", "row"),
            ("photos", "caption_key", "captions", "key"),
            ("photos", "item", "items", "id"),
        ):
            database.execute(
                f"DELETE FROM {child} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {target} FROM {parent})"
            )
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for log in (*_with_logs(path)[1:], *_with_logs(fresh)[1:]):  # not to be taken for those of the new one
        log.unlink(missing_ok=True)
    fresh.replace(path)


def _fill_up(path: Path) -> None:
    """Give a database whose end was torn off its length back: SQLite reads nothing of one that is too short.

    Source: https://www.sqlite.org/fileformat.html, section 1.3 (page size at byte 16, pages at byte 28).
    """
    with path.open("r+b") as stream:
        header = stream.read(32)
        size = int.from_bytes(header[16:18], "big") * int.from_bytes(header[28:32], "big")
        if path.stat().st_size < size <= _LARGEST_DATABASE:
            stream.truncate(size)


def _with_logs(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + rest) for rest in ("-wal", "-shm"))]


def _asks_for_a_newer_sqlite(path: Path) -> bool:
    """Whether the header asks for a later SQLite, which no index of ours does: SQLite takes that for a read-only file.

    Source: https://www.sqlite.org/fileformat.html, section 1.3.3 (bytes 18 and 19: 1 or 2).
    """
    with path.open("rb") as stream:
        return max(stream.read(20)[18:], default=0) > 2


def _is_whole_and_of_others(path: Path) -> bool:
    """Whether this is a database of a newer version or of another program: nothing to salvage, and not ours to touch."""
    try:
        with closing(sqlite3.connect(path)) as database:
            whole = [row[0] for row in database.execute("PRAGMA integrity_check")] == ["ok"]
            return whole and not has_its_schema(database)
    except sqlite3.Error:
        return False


def _is_readable(database: sqlite3.Connection) -> bool:
    """Whether SQLite finds its structures whole, and they are ours, and every text is UTF-8, which it does not look at."""
    if [row[0] for row in database.execute("PRAGMA integrity_check")] != ["ok"] or not has_its_schema(database):
        return False
    for table, _ in _TABLES:
        for _row in database.execute(f"SELECT * FROM {table}"):
            pass
    return True


def _decode_anyhow(text: bytes) -> str:
    return text.decode("utf-8", "replace")  # its checksum tells later that this is not what was written


def _copy_readable(damaged: sqlite3.Connection, fresh: sqlite3.Connection, table: str, key: str) -> None:
    """Copy the rows of a table that SQLite still reads: from the front up to the damage, and from the back up to it.

    A caption is dear, so captions are looked for in between as well: their keys are hexadecimal, and each range of them
    is found by its own way through the pages.
    """
    for order in (f"ORDER BY {key}", f"ORDER BY {key} DESC", ""):  # the name of the key may be what is damaged
        if _copy_rows(damaged, fresh, table, order):
            return
    if table == "captions":
        for number in range(_KEY_RANGES):
            _copy_rows(damaged, fresh, table, f"WHERE key >= '{number:03x}' AND key < '{number:03x}g'")


def _copy_rows(damaged: sqlite3.Connection, fresh: sqlite3.Connection, table: str, condition: str) -> bool:
    """Copy rows up to the first that cannot be read; return whether there was none such."""
    width = len(fresh.execute(f"PRAGMA table_info({table})").fetchall())
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * width)})"
    for row in _until_damage(damaged, f"SELECT * FROM {table} {condition}"):
        if row is None:
            return False
        if len(row) <= width:  # of an older format: the columns that came later are behind its own
            with suppress(sqlite3.IntegrityError):  # a row that does not fit its own table is damage too
                fresh.execute(insert, (*row, *[None] * (width - len(row))))
    return True


def _until_damage(damaged: sqlite3.Connection, query: str) -> Iterator[Any]:
    """Yield rows, and None where no more can be read.

    Raises:
        sqlite3.Error: not the content is at fault; to go on would lose what can be read later.
    """
    try:
        yield from damaged.execute(query)
    except sqlite3.Error as error:
        if trouble_of(error) not in UNREADABLE:
            raise
        yield None


def keep_groundings_of_captions(database: sqlite3.Connection) -> None:
    """Note that the provenance of some captions is lost; the captions are as good as before."""
    database.execute(
        "INSERT INTO groundings SELECT DISTINCT grounding, '{}' FROM captions "
        "WHERE grounding NOT IN (SELECT fingerprint FROM groundings)"
    )
