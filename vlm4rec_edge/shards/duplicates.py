"""Which ids a catalog has more than once, found in a flat memory.

All rows of an id go into one shard, in the order of the catalog: then a run of the shard sees what a run of the whole catalog
would see, and decides which of them is used.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np

from vlm4rec_edge.items import Failure, Item, nfc

# Parts into which hashes are put by their first bits, so that one part at a time is sorted: 100 million ids take 13 MB.
_PARTS = 64
_BUFFERED = 4096


def key_of(entry: Item | Failure) -> int:
    """Return the hash of an id, 64 bits; of its Unicode form NFC, by which ids are compared.

    Two ids of one hash would only share a shard, as if they were duplicates.
    """
    name = entry.where if isinstance(entry, Failure) else entry.id
    digest = hashlib.blake2b(nfc(name).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def repeated(read: Callable[[], Iterator[Item | Failure]]) -> tuple[int, dict[int, list[Item | Failure]]]:
    """Return how many entries a catalog has, and for the hash of each id that comes more than once its later entries.

    Args:
        read: Starts a pass; there are two where an id comes more than once, else one.
    """
    count, keys = _repeated_keys(read())
    later: dict[int, list[Item | Failure]] = {}
    if keys:
        seen: set[int] = set()
        for entry in read():
            key = key_of(entry)
            if key in keys and key in seen:
                later.setdefault(key, []).append(entry)
            elif key in keys:
                seen.add(key)
    return count, later


def _repeated_keys(entries: Iterator[Item | Failure]) -> tuple[int, set[int]]:
    total = 0
    found: set[int] = set()
    with ExitStack() as files:
        parts = [files.enter_context(tempfile.TemporaryFile()) for _ in range(_PARTS)]
        waiting: list[list[int]] = [[] for _ in parts]

        def write(part: int) -> None:
            parts[part].write(np.array(waiting[part], np.uint64).tobytes())
            waiting[part].clear()

        for total, entry in enumerate(entries, start=1):  # noqa: B007 (it is returned)
            key = key_of(entry)
            own = waiting[key % _PARTS]
            own.append(key)
            if len(own) == _BUFFERED:
                write(key % _PARTS)
        for number, part in enumerate(parts):
            write(number)
            part.seek(0)
            keys, times = np.unique(np.frombuffer(part.read(), np.uint64), return_counts=True)
            found.update(keys[times > 1].tolist())
    return total, found
