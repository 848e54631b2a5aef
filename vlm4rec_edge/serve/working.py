"""Where the work is done: a few threads, and a bound on how much may wait for them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vlm4rec_edge.serve.errors import HttpError

T = TypeVar("T")


class Workers:
    """Threads that do what would keep the event loop from answering others.

    Args:
        threads: How many.
        most: How much may be under way and waiting, together; beyond, a client is asked to retry.
        what: What they do, for the message.
    """

    def __init__(self, threads: int, most: int, what: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"serve-{what}")
        self._most = most
        self._what = what
        self._under_way = 0
        self._lock = threading.Lock()

    async def do(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, called in a thread.

        Raises:
            HttpError: too much is waiting already (429).
        """
        with self._lock:
            is_full = self._under_way >= self._most
            self._under_way += not is_full
        if is_full:
            raise HttpError(
                429,
                "TooManyRequests",
                f"{self._most} {self._what} are under way or waiting; ask again in a second.",
                **{"retry-after": "1"},
            )
        future = self._pool.submit(work)
        future.add_done_callback(self._done)  # not when the client is gone: then the thread still works on
        return await asyncio.wrap_future(future)

    def _done(self, _: object) -> None:
        with self._lock:
            self._under_way -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def answering() -> Workers:
    """Return the threads that answer, as many as cores: more only take turns at Python's lock."""
    return Workers(max(2, os.cpu_count() or 1), 64, "answers")


def decoding() -> Workers:
    """Return the threads that make pictures, which a page asks for by the screenful."""
    return Workers(max(2, os.cpu_count() or 1), 256, "pictures")


def captioning() -> Workers:
    """Return the thread that captions uploaded photos, one after the other."""
    return Workers(1, 4, "photos")
