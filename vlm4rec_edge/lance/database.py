"""Where a table lies, how it is opened, and what LanceDB's errors mean."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vlm4rec_edge.errors import StoreError, UsageError, Vlm4RecError
from vlm4rec_edge.optional import optional

# The one table of a database that this package writes and reads.
TABLE = "items"
# As ``optional`` takes it.
NEED = "LanceDB tables need lancedb"
_SCHEME = "lancedb"
# Another writer's commit takes well under a second; ten tries wait for about a minute in all.
_TRIES = 10
_FIRST_WAIT_S = 0.05
_MOST_WAIT_S = 10.0
# As LanceDB words that another commit came first (lance-core's errors CommitConflict, RetryableCommitConflict and
# TooMuchWriteContention).
_CONFLICTS = ("conflict", "concurrent", "contention")

# Which line of its source an error comes from: a path of the machine that compiled LanceDB.
_SOURCE_LINE = re.compile(r", /\S+?\.rs:\d+:\d+")

_Result = TypeVar("_Result")


def database_of(address: str) -> str:
    """Return what LanceDB calls the database of an address: ``lancedb://PATH`` is a folder, ``lancedb+s3://BUCKET/PATH`` not.

    Raises:
        UsageError: it is no such address.
    """
    scheme, _, rest = address.partition("://")
    own, _, store = scheme.partition("+")
    if own != _SCHEME or not rest or (store == "" and scheme != _SCHEME):
        raise UsageError(
            f"{address!r} is not the address of a LanceDB database, such as lancedb://FOLDER or lancedb+s3://BUCKET/PATH."
        )
    return f"{store}://{rest}" if store else os.path.expanduser(rest)  # noqa: PTH111 (Path's raises for unknown users)


def connect(address: str) -> Any:
    """Return a connection to the database of an address; a folder is made.

    Raises:
        MissingDependencyError: lancedb is not installed.
        UsageError: it is no address.
    """
    place = database_of(address)
    os.environ.setdefault("LANCEDB_LOG", "error")  # else it writes a line to stderr for every new table
    lancedb = optional("lancedb", NEED, "lancedb", " (or pip install lancedb)")
    with explained(address):
        return lancedb.connect(place)


def table_if_there(address: str) -> Any:
    """Return the table of an address at its newest version, or None; what a writer left who was killed before the end is none.

    Raises:
        StoreError: it cannot be read.
        MissingDependencyError, UsageError: as ``connect``.
    """
    place = database_of(address)
    if "://" not in place and not Path(place, f"{TABLE}.lance").is_dir():  # connecting would make the folder
        return None
    database = connect(address)
    with explained(address):
        try:
            return database.open_table(TABLE)
        except ValueError as error:
            if "not found" not in str(error):
                raise
            return None


def open_table(address: str) -> Any:
    """Open the table of an address, at its newest version.

    Raises:
        StoreError: there is none.
        MissingDependencyError, UsageError: as ``connect``.
    """
    if (table := table_if_there(address)) is None:
        raise StoreError(f"There is no index at {address}; write one: vlm4rec-edge export INDEX {address}")
    return table


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn what LanceDB raises into a ``StoreError`` that says where."""
    try:
        yield
    except Vlm4RecError:
        raise
    except (RuntimeError, ValueError, OSError) as error:  # the only kinds that its binding makes of its own
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = _SOURCE_LINE.sub("", said).rstrip(".")
        raise StoreError(f"The LanceDB table at {address} cannot be used: {reason}.") from error


def committed(address: str, table: Any, act: Callable[[], _Result]) -> _Result:
    """Return what ``act`` returns; where another writer committed first, try again on the newest version, and wait longer.

    Raises:
        StoreError: the table cannot be written, or others did not stop writing.
    """
    for tries in range(_TRIES):
        try:
            return act()
        except (RuntimeError, ValueError, OSError) as error:
            is_conflict = any(word in str(error).lower() for word in _CONFLICTS)
            if not is_conflict or tries + 1 == _TRIES:
                with explained(address):
                    raise
        wait = min(_FIRST_WAIT_S * 2**tries, _MOST_WAIT_S)
        time.sleep(wait * random.uniform(0.5, 1.0))  # so that two that wait do not meet again
        with explained(address):
            table.checkout_latest()
    raise AssertionError("the last try returns or raises")


def generation(address: str) -> str:
    """Return a text that is another one after every change of the table; empty where there is none."""
    from vlm4rec_edge.lance.notes import written_of

    try:
        table = open_table(address)
        with explained(address):
            return f"{written_of(table.schema.metadata)}-{table.version}"
    except StoreError:
        return ""
