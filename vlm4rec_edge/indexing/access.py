"""Who may change an index folder: one call at a time, under the writer's lock. Reading takes no lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index import refresh
from vlm4rec_edge.store.reader import StoreReader, read_if_begun
from vlm4rec_edge.store.schema import DATABASE_NAME
from vlm4rec_edge.store.writer import StoreWriter


class FolderAccess:
    """An index folder and its writer, which is opened before a call looks at the index.

    Attributes:
        folder: The folder; it need not be there yet.
        is_kept_open: Whether the lock is kept between calls; else each call lets go of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_kept_open = False
        self._writer: StoreWriter | None = None
        self._turn = threading.RLock()
        self._at_work = False

    @contextmanager
    def before(self) -> Iterator[StoreReader | None]:
        """The index as it is, or None if there is none yet."""
        before = read_if_begun(self.folder)
        with before or nullcontext():
            yield before

    @contextmanager
    def writing(self) -> Iterator[StoreWriter]:
        """Change an index that is there.

        Raises:
            StoreError: there is none, another process writes it, or this is called from within a call that is under way.
        """
        with self._one_call():
            yield self._opened(create=False)

    @contextmanager
    def making(self) -> Iterator[None]:
        """Change an index, or make one with ``made``; a new one gets its lock when it is made.

        Raises:
            StoreError: another process writes it, or this is called from within a call that is under way.
        """
        with self._one_call():
            if self._is_there():
                self._opened(create=False)
            yield

    def made(self, *, is_new: bool) -> StoreWriter:
        """Return the writer, of an index that is made if there is none; one that ``is_new`` had no lock until now."""
        store = self._opened(create=True)
        with self.before() as now:
            if is_new and now:
                raise StoreError(f"{self.folder} was made by another run meanwhile; run the same again.")
        return store

    def refresh_index(self, *, anew: bool = False) -> None:
        """Bring the search graph up to date with the vectors; ``anew``: whatever is there."""
        with StoreReader(self.folder) as store:
            refresh(store, anew=anew)

    def close(self) -> None:
        """Let other writers in, after the call that is under way in another thread."""
        with self._turn:
            if self._at_work:
                raise StoreError(
                    f"{self.folder} is being changed by the call from which this one comes; close it afterwards."
                )
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    @contextmanager
    def _one_call(self) -> Iterator[None]:
        with self._turn:
            if self._at_work:
                raise StoreError(
                    f"{self.folder} is being changed by the call from which this one comes; do it afterwards."
                )
            self._at_work = True
            try:
                yield
            finally:
                self._at_work = False
                if not self.is_kept_open:
                    self.close()

    def _is_there(self) -> bool:
        try:
            return (self.folder / DATABASE_NAME).is_file()
        except OSError:  # a folder that cannot be looked into: making it says so
            return False

    def _opened(self, *, create: bool) -> StoreWriter:
        if self._writer is None:
            self._writer = StoreWriter(self.folder, create=create)
        return self._writer
