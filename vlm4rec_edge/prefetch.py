"""Do the next pieces of work in threads while the current ones are being used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def prefetch(
    work: Callable[[Given], Made],
    inputs: Iterable[Given],
    *,
    threads: int,
    ahead: int,
    discard: Callable[[Made], None] | None = None,
) -> Iterator[Made]:
    """Yield ``work(input)`` for each input, in order, with at most ``ahead`` results waiting.

    ``inputs`` is pulled in the caller's thread, so it may touch what only that thread may (a database connection).
    When the caller stops early, results that nobody will take are given to ``discard``.
    """
    waiting: deque[Future[Made]] = deque()
    source = iter(inputs)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        try:
            while True:
                while len(waiting) < ahead:
                    try:
                        waiting.append(pool.submit(work, next(source)))
                    except StopIteration:
                        break
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                if not future.cancel() and discard is not None and future.exception() is None:
                    discard(future.result())
