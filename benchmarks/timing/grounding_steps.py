"""Where the time of ``index`` goes: timers around what the engine calls, not inside the package.

Engines work side by side, each in a thread, and photos are read and preprocessed in other threads beside them. So there are
two clocks: the seconds that pass in a thread of an engine, and the processor seconds of the readers.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

READ, VISION, PROMPT, DECODE, ENCODE, STORE, OTHER = (
    "read image",
    "vision encode",
    "prompt",
    "decode",
    "encode text",
    "index",
    "other",
)
STEPS = (READ, VISION, PROMPT, DECODE, ENCODE, STORE, OTHER)


class Steps:
    """Seconds of each step, how often llama.cpp was called for it, and of how many tokens or images.

    A step inside another one counts for itself alone.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread = threading.local()  # what inner steps took of each open one

    def time(self, step: str, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call, and count how long it took."""
        clock = time.thread_time if step == READ else time.perf_counter
        inside = self._thread.__dict__.setdefault("inside", [])
        inside.append(0.0)
        started = clock()
        try:
            return call(*arguments, **keywords)
        finally:
            took = clock() - started
            inner = inside.pop()
            with self._lock:
                self.seconds[step] += took - inner
            if inside:
                inside[-1] += took

    def count(self, step: str, *, calls: int = 0, rows: int = 0) -> None:
        """Count what llama.cpp was asked for in this thread."""
        with self._lock:
            self.calls[step] += calls
            self.rows[step] += rows


class _Timed:
    """A native function with a timer; its types are those of the function."""

    def __init__(self, steps: Steps, step: str | Callable[..., str], function: Any) -> None:
        self._steps, self._step, self._function = steps, step, function

    def __call__(self, *arguments: Any) -> Any:
        step = self._step if isinstance(self._step, str) else self._step(*arguments)
        result = self._steps.time(step, self._function, *arguments)
        self._count(step, arguments, result)
        return result

    def _count(self, step: str, arguments: Sequence[Any], result: Any) -> None:
        name = self._function.__name__
        if name == "llama_decode":
            self._steps.count(step, calls=1, rows=arguments[1].n_tokens)
        elif name == "mtmd_batch_encode":
            self._steps.count(step, calls=1)
        elif name == "mtmd_batch_add_chunk" and result == 0:
            self._steps.count(step, rows=1)
        elif name in {"mtmd_encode_chunk", "mtmd_helper_decode_image_chunk"}:
            self._steps.count(step, calls=1, rows=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _step_of(_context: Any, batch: Any) -> str:
    """Tell from its rows what a ``llama_decode`` does: in a step every row asks for a token, in a prompt few do."""
    if batch.embd:
        return PROMPT
    asked = sum((ctypes.c_int8 * batch.n_tokens).from_address(ctypes.addressof(batch.logits.contents)))
    return DECODE if asked == batch.n_tokens else PROMPT


@contextmanager
def timed() -> Iterator[Steps]:
    """Put timers around the steps, in every thread."""
    import llama_cpp
    from llama_cpp import mtmd_cpp

    from vlm4rec_edge.encoding.encoder import OnnxEncoder
    from vlm4rec_edge.grounding.llama import captioner
    from vlm4rec_edge.indexing import grounding
    from vlm4rec_edge.indexing.access import FolderAccess
    from vlm4rec_edge.store.writer import StoreWriter

    steps = Steps()
    native = [
        (llama_cpp, "llama_decode", _step_of),
        (mtmd_cpp, "mtmd_batch_add_chunk", VISION),
        (mtmd_cpp, "mtmd_batch_encode", VISION),
        (mtmd_cpp, "mtmd_encode_chunk", VISION),
        (mtmd_cpp, "mtmd_helper_decode_image_chunk", PROMPT),
        (mtmd_cpp, "mtmd_tokenize", READ),
    ]
    own = [
        (captioner, "decode_photo", READ),
        (grounding, "read_photo_file", READ),
        (FolderAccess, "refresh_index", STORE),
        (OnnxEncoder, "encode", ENCODE),
        (StoreWriter, "write", STORE),
    ]
    with ExitStack() as patches:
        for module, name, step in native:
            patches.enter_context(mock.patch.object(module, name, _Timed(steps, step, getattr(module, name))))
        for place, name, what in own:
            patches.enter_context(mock.patch.object(place, name, _wrapped(steps, what, getattr(place, name))))
        yield steps


def _wrapped(steps: Steps, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed_call(*arguments: Any, **keywords: Any) -> Any:
        return steps.time(step, function, *arguments, **keywords)

    return timed_call
