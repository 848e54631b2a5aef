"""Do the next pieces of work in threads while the current ones are being used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class _End(Enum):
    """Told apart from every input, and from None."""

    END = 0


def prefetch(
    work: Callable[[Given], Made],
    inputs: Iterable[Given],
    *,
    threads: int,
    ahead: int,
    discard: Callable[[Made], None] | None = None,
) -> Iterator[Made]:
    """Yield ``work(input)`` for each input, in order, with at most ``ahead`` results waiting.

    ``inputs`` is pulled in the caller's thread, so it may touch what only that thread may (a database connection). A None
    among them says that no input is ready now: what is being worked on is yielded first, and if there is nothing,
    ``work(None)``. When the caller stops early, results that nobody will take are given to ``discard``.
    """
    waiting: deque[Future[Made]] = deque()
    source = iter(inputs)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        try:
            while True:
                given: Given | _End | None = None
                while len(waiting) < ahead:
                    given = next(source, _End.END)
                    if given is None or given is _End.END:
                        break
                    waiting.append(pool.submit(work, given))
                if waiting:
                    yield waiting.popleft().result()
                elif given is _End.END:
                    return
                else:
                    yield work(given)  # type: ignore[arg-type]  # a None, which this source may give
        finally:
            for future in waiting:
                if not future.cancel() and discard is not None and future.exception() is None:
                    discard(future.result())
