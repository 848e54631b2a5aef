"""Photos on their way: prepared in some threads, read and answered by several engines side by side in others.

Two engines with a thread each are faster than one with two threads: the threads of one engine wait for each other hundreds
of times a step, and as soon as another program wants a core, or our own decoding of photos does, both wait for it.

llama.cpp computes in the threads of the engines, which are started here, and in no other, and nothing else runs in them.
Intel's AMX keeps the shape of its tiles in the thread: ONNX Runtime's 8-bit kernels load another one, and llama.cpp would go
on with that, silently wrong. Where ONNX Runtime is the vision encoder, it computes in the threads that prepare photos.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.engine import Answer, Engine, Refusal

Request = TypeVar("Request")

# Photos of one lane, at least: below that a step is little cheaper than single ones.
_PHOTOS_A_LANE = 4


def lanes_for(*, slots: int, threads: int, projector_bytes: int, free_bytes: int | None) -> int:
    """Return how many engines to run side by side on a CPU.

    Args:
        slots: Photos decoded together by all of them.
        threads: Cores to use.
        projector_bytes: What each further engine loads once more; all of that stays below a quarter of ``free_bytes``.
        free_bytes: Memory at hand, or None where it is not known.
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
    engines: Sequence[Engine],
    requests: Iterator[Request | None],
    prepare: Callable[[Request], PreparedPhoto | Refusal],
    *,
    slots: int,
    workers: int,
) -> Iterator[Answer | Refusal]:
    """Yield an answer for each request, in the order they finish; any engine takes any photo.

    ``requests`` is pulled in the caller's thread, at most ``2 * slots + workers`` ahead of the answers: as many as are decoded
    together, as many that wait for it, and those that are being prepared. A None among them says that none is ready now,
    which it may only do while others are at work. ``prepare`` runs in ``workers`` threads, in which llama.cpp never computes.

    Raises:
        ModelError: as ``Engine.answer``; the other engines are stopped.
    """
    lanes = _Lanes(engines, prepare, workers)
    try:
        yield from lanes.answer(requests, 2 * slots + workers)
    finally:
        lanes.stop()


class _End(Enum):
    """Told apart from every request, and from None."""

    END = 0


class _Lanes(Generic[Request]):
    """The threads that prepare photos and those of the engines, with a queue to each and one out.

    What is under way is bounded by the caller, so no queue needs a bound, and no thread waits to get rid of
    what it made.
    """

    def __init__(
        self, engines: Sequence[Engine], prepare: Callable[[Request], PreparedPhoto | Refusal], workers: int
    ) -> None:
        # None means that nothing comes any more.
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._inbox: queue.Queue[PreparedPhoto | None] = queue.Queue()
        self._outbox: queue.Queue[Answer | Refusal | BaseException] = queue.Queue()
        self._engines, self._prepare, self._workers = engines, prepare, workers
        for engine in engines:
            engine.stopped = False
        self._ended = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._answer, args=(engine,), daemon=True) for engine in engines]
        self._threads += [threading.Thread(target=self._make_ready, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def answer(self, requests: Iterator[Request | None], ahead: int) -> Iterator[Answer | Refusal]:
        under_way, ended = 0, False
        while True:
            while not ended and under_way < ahead:
                request = next(requests, _End.END)
                ended = request is _End.END
                if request is None or request is _End.END:
                    break
                self._requests.put(request)
                under_way += 1
            if ended and not under_way:
                return
            result = self._outbox.get()
            if isinstance(result, BaseException):
                raise result
            under_way -= 1
            yield result

    def _make_ready(self) -> None:
        try:
            while (request := self._requests.get()) is not None:
                prepared = self._prepare(request)
                if isinstance(prepared, PreparedPhoto):
                    self._inbox.put(prepared)
                else:
                    self._outbox.put(prepared)
        except BaseException as error:
            self._outbox.put(error)
        finally:
            self._ended.release()

    def _answer(self, engine: Engine) -> None:
        under_way = 0

        def waiting() -> Iterator[PreparedPhoto | None]:
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
        """End the threads after the step they are in, and free the photos that were not taken."""
        for engine in self._engines:
            engine.stopped = True
            self._inbox.put(None)
        with suppress(queue.Empty):  # what is not being prepared yet
            while True:
                self._requests.get_nowait()
        for _ in range(self._workers):
            self._requests.put(None)
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
            if (photo := self._inbox.get()) is not None:
                photo.free()
        if interrupted:
            raise KeyboardInterrupt
