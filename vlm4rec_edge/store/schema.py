"""The database inside a store: its tables, and how an older one is brought up to date.

A store is a folder:

- ``store.sqlite``: items, captions, provenance, failures, and which row of the vector file belongs to which text.
- ``vectors-<encoder>-<generation>.f32``: the vectors, float32 little-endian, row after row, no header. Rows beyond
  those the database knows are leftovers of an interrupted run.
- ``photos-<fingerprint>-<generation>.f32``: vectors of the photos themselves, in the same form, where they were asked for.
- ``learned-*.npz``: what was learned from purchases; a second vector file then holds the vectors mixed with it.
- ``hnsw-*``: the derived index; may be deleted at any time.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.trouble import explained, trouble_of

DATABASE_NAME = "store.sqlite"
# "v4re": tells our database from any other SQLite file (https://www.sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x76347265

# One entry a version; a store of version n gets the entries from n on. Never edit an entry that was released.
MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc32 INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE groundings (fingerprint TEXT PRIMARY KEY, provenance TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE encoders (fingerprint TEXT PRIMARY KEY, provenance TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE captions (
        key TEXT PRIMARY KEY,
        image_sha256 TEXT NOT NULL,
        grounding TEXT NOT NULL REFERENCES groundings (fingerprint),
        question TEXT NOT NULL,
        text TEXT NOT NULL,
        crc32 INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE vectors (row INTEGER PRIMARY KEY, text_sha256 TEXT NOT NULL UNIQUE, crc32 INTEGER NOT NULL);
    CREATE TABLE items (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        image TEXT NOT NULL,
        image_sha256 TEXT NOT NULL,
        title TEXT NOT NULL,
        attributes TEXT NOT NULL,
        caption_key TEXT REFERENCES captions (key),
        vector_row INTEGER REFERENCES vectors (row),
        seen_run INTEGER NOT NULL,
        crc32 INTEGER NOT NULL
    );
    CREATE INDEX items_by_caption_key ON items (caption_key);
    CREATE INDEX items_by_vector_row ON items (vector_row);
    CREATE TABLE failures (
        run INTEGER NOT NULL, place TEXT NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL
    );
    """,
    # The fields of structured captions. A column is only ever added behind the others, so that what is saved of a damaged
    # older database fits a new one.
    "ALTER TABLE captions ADD COLUMN fields TEXT;",
    # The photos of an item after its first, which stays in its own row.
    """
    CREATE TABLE photos (
        item TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        image TEXT NOT NULL,
        image_sha256 TEXT NOT NULL,
        caption_key TEXT REFERENCES captions (key),
        crc32 INTEGER NOT NULL,
        PRIMARY KEY (item, place)
    ) WITHOUT ROWID;
    CREATE INDEX photos_by_caption_key ON photos (caption_key);
    """,
    # The place of an item's mixed vector, where something was learned from purchases.
    """
    ALTER TABLE items ADD COLUMN learned_row INTEGER;
    CREATE INDEX items_by_learned_row ON items (learned_row);
    """,
    # The photos' own vectors, kept on request, and by which photo items are found.
    """
    CREATE TABLE photo_vectors (row INTEGER PRIMARY KEY, image_sha256 TEXT NOT NULL UNIQUE, crc32 INTEGER NOT NULL);
    CREATE INDEX items_by_image_sha256 ON items (image_sha256);
    CREATE INDEX photos_by_image_sha256 ON photos (image_sha256);
    """,
)
# What stands before the tables of an older format while it is only read, so that a reader finds what each migration added.
_VIEWS = (
    "",  # format 0 is no index
    "CREATE TEMP VIEW captions AS SELECT *, NULL AS fields FROM main.captions;",
    "CREATE TEMP VIEW photos AS SELECT '' AS item, 0 AS place, '' AS image, '' AS image_sha256, NULL AS caption_key, "
    "0 AS crc32 WHERE 0;",
    "CREATE TEMP VIEW items AS SELECT *, NULL AS learned_row FROM main.items;",
    "CREATE TEMP VIEW photo_vectors AS SELECT 0 AS row, '' AS image_sha256, 0 AS crc32 WHERE 0;",
)


class EmptyIndexError(StoreError):
    """The tables were not made yet: the first run has just begun, or was stopped at once."""


def text_crc32(*texts: str | None) -> int:
    """Return the CRC-32 of some texts, as it stands beside captions and items to find damage (not to find forgery)."""
    # Damage can turn a text into a number or bytes; their repr is never what was written.
    parts = (text if isinstance(text, str) else "" if text is None else repr(text) for text in texts)
    return zlib.crc32("\x1f".join(parts).encode("utf-8"))


def caption_crc32(key: str, image_sha256: str, question: str, text: str, fields: str | None) -> int:
    """Return the checksum of a caption. A free one has no fields, and the checksum that format 1 gave it."""
    return text_crc32(key, image_sha256, question, text, *([] if fields is None else [fields]))


def photo_crc32(item: str, place: int, image: str, image_sha256: str, caption_key: str | None) -> int:
    """Return the checksum of a further photo of an item."""
    return text_crc32(item, str(place), image, image_sha256, caption_key)


def open_database(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open ``store.sqlite``; for writing, create it or bring it up to date first. An older one can be read as it is.

    Raises:
        StoreError: it is damaged, busy, may not be written, is not ours, or of a newer version of this package.
    """
    connection = None
    try:
        connection = _open_to_write(path) if write else _open_to_read(path)
        connection.execute("BEGIN")  # one moment: another process may be making the tables right now
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        connection.execute("COMMIT")
    except (sqlite3.Error, UnicodeDecodeError) as error:  # sqlite3 cannot tell an error that quotes damaged bytes
        if connection is not None:
            connection.close()
        if trouble_of(error) != "damaged":
            raise explained(error, path) from error
        raise StoreError(f"{path} cannot be opened ({error}); is it an undamaged index?") from error
    if is_empty and not write:
        raise EmptyIndexError(
            f"The index {path.parent} is empty; its first run has just begun, or was stopped at once."
        )
    if application != APPLICATION_ID and not (write and is_empty):
        raise StoreError(f"{path} is a database of something else; choose another folder.")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} has format {version}, this version of vlm4rec-edge reads up to {len(MIGRATIONS)}; upgrade it."
        )
    if not write:
        for view in _VIEWS[version:]:
            connection.execute(view)
    else:
        try:
            # Not before it is known to be ours: the journal mode is written into the file.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, version)
        except sqlite3.Error as error:
            connection.close()
            raise explained(error, path) from error
    return connection


def has_its_schema(connection: sqlite3.Connection) -> bool:
    """Whether the tables of a database are those that the migrations make, or some of them; SQLite believes what it finds."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    found = connection.execute(query).fetchall()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for version in range(len(MIGRATIONS)):
            _migrate(fresh, version, version + 1)
            if fresh.execute(query).fetchall() == found:
                return True
    return False


def _open_to_write(path: Path) -> sqlite3.Connection:
    # The writer holds the writer's lock, and takes care that it is one thread at a time.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open read-only; from a read-only file system as an immutable file, where SQLite cannot make its lock files.

    Not while there is a write-ahead log: an immutable file is read without it, and what it holds would be missing.
    """
    address = path.absolute().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if trouble_of(error) == "busy" or (log.exists() and log.stat().st_size):
            raise
        connection = sqlite3.connect(
            f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    return connection


def _migrate(connection: sqlite3.Connection, version: int, target: int = len(MIGRATIONS)) -> None:
    for number, script in enumerate(MIGRATIONS[version:target], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; "
            f"PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )


def is_unicode(text: object) -> bool:
    """Whether this can be in a database as a text: an argument of a program may hold bytes that are no UTF-8.

    What damage left where a text was may be no text either.
    """
    if not isinstance(text, str):
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
