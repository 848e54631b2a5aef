"""Several engines at work side by side, each on cores of its own.

Two engines with a thread each are faster than one with two threads: the threads of one engine wait for each other hundreds
of times a step, and as soon as another program wants a core, or our own decoding of photos does, both wait for it.

llama.cpp computes in the threads that are started here and in no other, and nothing else runs in them. Intel's AMX keeps the
shape of its tiles in the thread: ONNX Runtime's 8-bit kernels load another one, and llama.cpp would go on with that,
silently wrong.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING

from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.engine import Answer, Engine, Refusal

# Photos of one lane, at least: below that a step is little cheaper than single ones.
_PHOTOS_A_LANE = 4


def lanes_for(*, slots: int, threads: int, projector_bytes: int, free_bytes: int | None) -> int:
    """Return how many engines to run side by side on a CPU.

    Args:
        slots: Photos decoded together by all of them.
        threads: Cores to use.
        projector_bytes: What each further engine loads once more; all of that stays below a quarter of ``free_bytes``.
        free_bytes: Memory at hand, or None where nobody tells.
    """
    lanes = min(threads, slots // _PHOTOS_A_LANE)
    if free_bytes is not None:
        lanes = min(lanes, 1 + free_bytes // 4 // max(projector_bytes, 1))
    return max(lanes, 1)


def shares(whole: int, parts: int) -> list[int]:
    """Return ``whole`` split into ``parts`` numbers that differ by one at most, the larger ones first."""
    each, more = divmod(whole, parts)
    return [each + (part < more) for part in range(parts)]


def answer_side_by_side(
    engines: Sequence[Engine], photos: Iterator[PreparedPhoto | Refusal | None], *, slots: int
) -> Iterator[Answer | Refusal]:
    """Yield an answer for each photo, in the order they finish; any engine takes any photo.

    ``photos`` is pulled in the caller's thread, at most ``2 * slots`` ahead of the answers. A None among them says that none
    is ready now, which it may only do while others are at work.

    Raises:
        ModelError: as ``Engine.answer``; the other engines are stopped.
    """
    lanes = _Lanes(engines)
    try:
        yield from lanes.answer(photos, 2 * slots)
    finally:
        lanes.stop()


class _End(Enum):
    """Told apart from every photo, and from None."""

    END = 0


class _Lanes:
    """The threads of the engines, with one queue in and one out."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        # None tells an engine that no photo comes any more.
        self._inbox: queue.Queue[PreparedPhoto | Refusal | None] = queue.Queue()
        self._outbox: queue.Queue[Answer | Refusal | BaseException] = queue.Queue()
        self._engines = engines
        for engine in engines:
            engine.stopped = False
        self._ended = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._work, args=(engine,), daemon=True) for engine in engines]
        for thread in self._threads:
            thread.start()

    def answer(self, photos: Iterator[PreparedPhoto | Refusal | None], ahead: int) -> Iterator[Answer | Refusal]:
        under_way, ended = 0, False
        while True:
            while not ended and under_way < ahead:
                photo = next(photos, _End.END)
                ended = photo is _End.END
                if photo is None or photo is _End.END:
                    break
                self._inbox.put(photo)
                under_way += 1
            if ended and not under_way:
                return
            result = self._outbox.get()
            if isinstance(result, BaseException):
                raise result
            under_way -= 1
            yield result

    def _work(self, engine: Engine) -> None:
        under_way = 0

        def waiting() -> Iterator[PreparedPhoto | Refusal | None]:
            nonlocal under_way
            while True:
                try:
                    # With photos at work the engine goes on with them rather than wait for another one.
                    photo = self._inbox.get(block=under_way == 0)
                except queue.Empty:
                    yield None
                    continue
                if photo is None:
                    return
                under_way += 1
                yield photo

        try:
            with closing(engine.answer(waiting())) as results:  # type: ignore[type-var]  # it is a generator
                for result in results:
                    under_way -= 1
                    self._outbox.put(result)
        except BaseException as error:
            self._outbox.put(error)
        finally:
            self._ended.release()

    def stop(self) -> None:
        """End the threads after the step they are in, and free the photos that nobody took."""
        for engine in self._engines:
            engine.stopped = True
            self._inbox.put(None)
        interrupted, running = False, len(self._threads)
        while running:
            try:
                self._ended.acquire()  # not join, which Python 3.11 takes for done when it is interrupted
                running -= 1
            except KeyboardInterrupt:  # once more: what llama.cpp is still at work with must not be freed
                interrupted = True
        for thread in self._threads:
            thread.join()
        while not self._inbox.empty():
            photo = self._inbox.get()
            if isinstance(photo, PreparedPhoto):
                photo.free()
        if interrupted:
            raise KeyboardInterrupt
