"""Ctrl-C, held off while something short must be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; it reaches the main thread alone, so that in another one there is nothing to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # None: it was set by another language than Python, and cannot be set back.
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
