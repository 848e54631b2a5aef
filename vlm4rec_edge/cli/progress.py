"""A progress bar with rate and time left, on a terminal, for what takes longer than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A bar that flashes up and goes is only noise.
_QUIET_SECONDS = 2.0


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many of ``total`` are done. Draws on stderr, and only if that is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task(title, total=total, rate="")
    started = time.monotonic()
    is_drawn = False

    def advance(done: int) -> None:
        nonlocal is_drawn
        elapsed = time.monotonic() - started
        if not is_drawn and elapsed > _QUIET_SECONDS:
            bar.start()
            is_drawn = True
        bar.update(task, completed=done, rate=f"{done / elapsed:.1f}/s" if elapsed > 0 else "")

    try:
        yield advance
    finally:
        if is_drawn:
            bar.stop()
