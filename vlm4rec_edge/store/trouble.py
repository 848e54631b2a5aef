"""What an error of SQLite means for a user: the database is closed, busy, read-only, full, or damaged.

Source: https://www.sqlite.org/rescode.html. The low byte of an extended code is its primary code.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from vlm4rec_edge.errors import StoreError

Trouble = Literal["closed", "busy", "read-only", "full", "disk", "memory", "value", "damaged"]
_BY_CODE: dict[int, Trouble] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_PROTOCOL: "busy",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_CANTOPEN: "read-only",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_AUTH: "read-only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "disk",
    sqlite3.SQLITE_NOMEM: "memory",
    sqlite3.SQLITE_TOOBIG: "value",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "value",
}

# Where a salvage goes on: what cannot be read is passed over.
UNREADABLE: frozenset[Trouble] = frozenset({"damaged", "disk"})


def trouble_of(error: BaseException | None) -> Trouble:
    """Return what is wrong; anything that is not known to be something else is damage."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # of Python's own: a closed connection, or a value that is none for SQLite
        if not isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            return "damaged"
        return "closed" if "closed" in str(error) else "value"
    return _BY_CODE.get(code) or _BY_CODE.get(code & 0xFF, "damaged")


_SENTENCES: dict[Trouble, str] = {
    "closed": "The index {index} was closed; open it again.",
    "busy": "{database} is busy: another program holds it ({error}). Try again when it has ended.",
    "read-only": "{database} cannot be opened or written ({error}); check the permissions of its folder, in which SQLite "
    "writes beside it, and whether the disk is read-only.",
    "full": "The disk of {index} is full; make room, and run the same command again.",
    "disk": "{database} cannot be read or written ({error}); check the disk and its free space.",
    "memory": "There is not enough memory to read {database}; close other programs.",
    "value": "{index} cannot hold a value that was given ({error}); ids, titles and columns are texts.",
}


def explained(error: Exception, database: Path, *, kept: bool = False) -> StoreError:
    """Return the sentence for an error of SQLite, or of Python where it cannot read what SQLite says.

    Args:
        error: As it was raised.
        database: Where the database lies, in its index folder.
        kept: Whether to tell, where it is no damage, that finished work is kept.
    """
    trouble = trouble_of(error)
    if trouble == "damaged":
        return damaged(database, error)
    sentence = _SENTENCES[trouble].format(index=database.parent, database=database, error=error)
    return StoreError(f"{sentence} What was finished before is kept." if kept else sentence)


def damaged(database: Path, reason: object) -> StoreError:
    """Return the sentence for a database that is not what was written."""
    return StoreError(f"{database} is damaged ({reason}); run: vlm4rec-edge repair {database.parent}")


def holds_nothing(folder: Path) -> StoreError:
    """Return the sentence for an index in which nothing can be recommended yet."""
    return StoreError(f"The index {folder} holds no items yet; run `vlm4rec-edge index` to the end first.")


def is_damage(error: StoreError) -> bool:
    """Whether an error of ours is about content that is not what was written; then ``repair`` helps, and else it does not."""
    return not isinstance(error.__cause__, sqlite3.Error) or trouble_of(error.__cause__) in UNREADABLE
