"""The photos that were fetched, in a folder, each by its address; several are fetched at once, and none twice."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import vlm4rec_edge
from vlm4rec_edge.catalog.web.transfer import FetchError, Terms, fetch_to
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item, WebPhotos

# More connections at once are a burden to a shop's server, and gain little over one line.
_AT_ONCE = 8
_FREE_BYTES_NEEDED = 64 * 1024 * 1024
# What is kept of a name, so that programs that go by it know what the file is.
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


class _StoppedError(Exception):
    """The run was stopped."""


@dataclass
class WebPhotoCache:
    """A folder of fetched photos, which speaks to servers when ``fetch`` is called, and only then.

    An index keeps its own in ``photos`` below its folder. With it as ``fetch`` of ``IndexFolder.update`` a catalog's web
    addresses are fetched; a catalog that is opened before is opened with ``fetched=cache.path_of``.

    A photo whose address is there already is not asked for again, even if the server has another one: remove its file, or the
    folder, to fetch it again.

    Attributes:
        folder: Where they lie; made when the first one is fetched.
        allow_private: Whether hosts of this machine and of private networks may be asked.
        failures: Why an address could not be fetched, by the address, as a sentence.
    """

    folder: Path
    allow_private: bool = False
    terms: Terms = field(default_factory=lambda: Terms(agent=f"vlm4rec-edge/{vlm4rec_edge.__version__}"))
    failures: dict[str, str] = field(default_factory=dict)

    def told(self, entries: Iterable[Item | Failure]) -> Iterator[Item | Failure]:
        """Yield the entries of a catalog, with the reasons why photos could not be fetched in place of the advice to fetch."""
        for entry in entries:
            if isinstance(entry, WebPhotos) and (reasons := [*filter(None, map(self.failures.get, entry.addresses))]):
                yield replace(entry, stage="photo", reason=" ".join(reasons))
            else:
                yield entry

    def path_of(self, address: str) -> Path | None:
        """Return where the photo of an address lies, or None if it was not fetched."""
        path = self._place(address)
        return path if path.is_file() else None

    def fetch(self, addresses: Iterable[str], *, on_progress: Callable[[int], None] | None = None) -> int:
        """Fetch what is not there yet, several at once, and return how many photos came; ``failures`` has the others.

        Ctrl-C stops it; what is finished is kept, and what is begun is continued by the next run.

        Args:
            addresses: Web addresses of photos; any order, one may come twice.
            on_progress: Called in this thread with how many are done.

        Raises:
            StoreError: the folder cannot be written, or the disk is full.
        """
        missing = [address for address in dict.fromkeys(addresses) if self.path_of(address) is None]
        if not missing:
            return 0
        stopped = threading.Event()

        def pause(seconds: float) -> None:
            if stopped.wait(seconds) if seconds else stopped.is_set():
                raise _StoppedError

        terms, came = replace(self.terms, allow_private=self.allow_private, pause=pause), 0
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as threads:
            try:
                waiting = {threads.submit(self._fetch_one, address, terms): address for address in missing}
                for done, future in enumerate(as_completed(waiting), start=1):
                    reason = future.result()
                    if reason:
                        self.failures[waiting[future]] = reason
                    else:
                        self.failures.pop(waiting[future], None)
                        came += 1
                    if on_progress is not None:
                        on_progress(done)
            except BaseException as error:
                stopped.set()
                threads.shutdown(cancel_futures=True)
                if isinstance(error, OSError):
                    raise StoreError(
                        f"Photos cannot be written to {self.folder}: {error.strerror or error}. What was fetched is kept."
                    ) from error
                raise
        return came

    def _fetch_one(self, address: str, terms: Terms) -> str:
        """Fetch one photo, and return why that was not possible; nothing if it was."""
        path = self._place(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < _FREE_BYTES_NEEDED:
            raise OSError(None, f"only {free / 1e6:.0f} MB are free")
        try:
            fetch_to(address, path, terms)
        except FetchError as error:
            return str(error)
        return ""

    def _place(self, address: str) -> Path:
        name = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            suffix = PurePosixPath(unquote(urlsplit(address).path)).suffix
        except ValueError:  # no address; fetching it says so
            suffix = ""
        return self.folder / name[:2] / f"{name}{suffix.lower() if _SUFFIX.fullmatch(suffix) else ''}"
