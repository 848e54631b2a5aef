"""A shard that is begun: who has it, what was tried before, and why that ended."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlm4rec_edge.atomic import remove
from vlm4rec_edge.errors import StoreError, Vlm4RecError
from vlm4rec_edge.store.lock import WriterLock, writer_of

_ATTEMPTS_NAME = "attempts.jsonl"
_KILLED = "The process ended without a word: it was killed, or its machine stopped."


@dataclass(frozen=True)
class Tried:
    """What was tried of a shard that is not done.

    Attributes:
        attempts: How often it was begun.
        errors: How often that ended with an error.
        reason: Why the last attempt ended, as a sentence; empty while it goes on, and where it was stopped on purpose.
        running: The process that works on it now; empty if none does.
    """

    attempts: int = 0
    errors: int = 0
    reason: str = ""
    running: str = ""


class TakenError(StoreError):
    """Another process works on this shard."""


@contextmanager
def claimed(place: Path) -> Iterator[Tried]:
    """Have a shard for oneself, and note how it ends; ``place`` is removed when the block ends well.

    The lock ends with the process that has it, so that nobody waits for the dead.

    Raises:
        TakenError: another process has it.
        StoreError: the folder cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be made ({error.strerror}); check its permissions and the free space."
        ) from error
    try:
        lock = WriterLock(place)
    except StoreError as error:
        if error.__cause__ is None:  # the lock is another one's; every other reason has a cause
            raise TakenError(f"{writer_of(place) or 'Another process'} works on this shard.") from None
        raise
    is_done = False
    try:
        yield tried(place)
        is_done = True
    except (KeyboardInterrupt, GeneratorExit):
        note_attempt(place, stopped=True)
        raise
    except Exception as error:
        note_attempt(place, reason=_reason(error))
        raise
    finally:
        lock.release()
        if is_done:
            remove(place)


def note_attempt(place: Path, **facts: Any) -> None:
    """Add a line to what was tried: that it begins (no facts), why it failed (``reason``), or that it was ``stopped``."""
    who = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "by": f"process {os.getpid()} on {platform.node()}"}
    line = json.dumps({**(facts or {"begins": True}), **who}, ensure_ascii=False)
    # A help for people: a full disk is told by what failed of it. It may have cut off the line before.
    with suppress(OSError), (place / _ATTEMPTS_NAME).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")


def tried(place: Path) -> Tried:
    """Return what was tried of a shard; nothing where it was never begun."""
    try:
        lines = (place / _ATTEMPTS_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = [found for line in lines if (found := _object(line)) is not None]
    running = writer_of(place)
    last = facts[-1] if facts else {}
    reason = str(last.get("reason", ""))
    if not running and last.get("begins"):
        reason = _KILLED
    errors = sum("reason" in one for one in facts)
    return Tried(sum(bool(one.get("begins")) for one in facts), errors, reason, running)


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:  # the line that a full disk or a kill cut off
        return None
    return found if isinstance(found, dict) else None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Vlm4RecError) else f"{type(error).__name__}: {error}"
