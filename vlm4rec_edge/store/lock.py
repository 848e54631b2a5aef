"""One writer at a time: a lock that names its holder and ends with its holder's process."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import suppress
from pathlib import Path

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.trouble import trouble_of

LOCK_NAME = "writer.lock"
_HOLDER_NAME = "writer.txt"


def writer_of(folder: Path) -> str:
    """Return who writes the index in a folder now, as "process 12 on a-machine"; empty if none does. Takes no lock.

    The writer says so in a file, which a process that was killed leaves behind; then nobody does.
    """
    try:
        holder = (folder / _HOLDER_NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    _, process, _, machine = (holder.split(" ", 3) + [""] * 4)[:4]
    if machine == platform.node() and process.isdecimal() and os.name == "posix":
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return ""
        except (OSError, OverflowError):  # it is somebody else's
            pass
    return holder


class WriterLock:
    """The right to write a store, held from construction to ``release``.

    An exclusive SQLite transaction on a file of its own: the operating system's file lock behind it works on every
    system and is gone when the process is, however it ends. Any thread may release it.

    Raises:
        StoreError: another process holds it (the message says which), or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._holder = folder / _HOLDER_NAME
        try:
            self._lock = self._take(folder / LOCK_NAME)
        except (sqlite3.Error, OSError) as error:
            if trouble_of(error) == "busy":
                raise StoreError(f"{folder} is being written by {self._who()}; wait for it to end.") from None
            raise StoreError(
                f"{folder} cannot be written ({error}); check its permissions and the free space."
            ) from error
        with suppress(OSError):  # only a help for people
            self._holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")

    @staticmethod
    def _take(path: Path) -> sqlite3.Connection:
        lock = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                # The file is damaged, which SQLite sees only when nobody holds it. It carries nothing but the lock.
                os.truncate(path, 0)
                lock.execute("BEGIN EXCLUSIVE")
        except BaseException:
            lock.close()
            raise
        return lock

    def _who(self) -> str:
        try:
            return self._holder.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "another process"

    def release(self) -> None:
        """Let another writer in."""
        try:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
        finally:
            self._lock.close()
