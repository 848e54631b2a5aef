"""A progress bar with rate and time left, on a terminal, for what takes longer than a moment."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm4rec_edge.cli.output import note

# A bar that flashes up and goes is only noise.
_QUIET_SECONDS = 2.0
# The first estimate comes after so many items and seconds: earlier the loading of the models would be taken for work.
_ESTIMATE_EVERY = 64
_ESTIMATE_SECONDS = 5.0
_TOLD_SECONDS = 10.0


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool, out: Path | None = None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with how many of ``total`` are done. Draws on stderr, and only if that is a terminal.

    With ``out``, the folder that is being filled, the size it will have is estimated as well. Where stderr is no
    terminal the first estimate is printed once, for the log.
    """
    if not shown or not sys.stderr.isatty():
        yield _estimate_once(total, out) if shown and out is not None else lambda _: None
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
        TextColumn("{task.fields[size]}"),
        console=Console(stderr=True),
    )
    task = bar.add_task(title, total=total, rate="", size="")
    started = time.monotonic()
    is_drawn = False

    def advance(done: int) -> None:
        nonlocal is_drawn
        elapsed = time.monotonic() - started
        if not is_drawn and elapsed > _QUIET_SECONDS:
            bar.start()
            is_drawn = True
        bar.update(task, completed=done, rate=f"{done / elapsed:.1f}/s" if elapsed > 0 else "")
        if out is not None and done % _ESTIMATE_EVERY == 0:
            bar.update(task, size=f"about {_final_bytes(out, done, total) / 1e6:.0f} MB on disk")

    try:
        yield advance
    finally:
        if is_drawn:
            bar.stop()


def told_now_and_then(what: str, total: int | None, *, shown: bool) -> Callable[[int], None]:
    """Return a function to call with how many of ``total`` are done, which prints it on stderr every ten seconds.

    ``total`` is None where nobody knows it yet.
    """
    of = "" if total is None else f" of {total:,}"
    told = time.monotonic()

    def advance(done: int) -> None:
        nonlocal told
        if shown and time.monotonic() - told >= _TOLD_SECONDS:
            told = time.monotonic()
            note(f"{done:,}{of} {what}.")

    return advance


def _estimate_once(total: int, out: Path) -> Callable[[int], None]:
    started = time.monotonic()
    is_told = False

    def advance(done: int) -> None:
        nonlocal is_told
        elapsed = time.monotonic() - started
        if is_told or done < _ESTIMATE_EVERY or elapsed < _ESTIMATE_SECONDS:
            return
        is_told = True
        minutes = elapsed / done * (total - done) / 60
        free = shutil.disk_usage(out).free / 1e6
        size = _final_bytes(out, done, total) / 1e6
        left = "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
        note(f"{done:,} of {total:,} done; {left} left, {size:.0f} MB on disk, {free:,.0f} MB free.")

    return advance


def _final_bytes(out: Path, done: int, total: int) -> float:
    """Extrapolate the size of a folder from what lies in it."""
    return sum(path.stat().st_size for path in out.iterdir() if path.is_file()) / max(done, 1) * total
