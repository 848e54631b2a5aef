"""How a process died, as a sentence: native code ends it with a signal and says little."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

_LINES_KEPT = 40
# A shell reports the signal of a program so; Windows has its own codes.
_SHELL_SIGNAL = 128
_WINDOWS = {0xC0000005: "SIGSEGV", 0xC000001D: "SIGILL", 0xC0000409: "SIGABRT", 0xC0000017: "SIGKILL"}
_MEANINGS = {
    "SIGILL": "an instruction that this processor does not have, or not in this state",
    "SIGSEGV": "a wrong memory access",
    "SIGBUS": "a file that was truncated while it was read, or a wrong memory access",
    "SIGFPE": "a division by zero",
    "SIGABRT": "it gave up",
    "SIGKILL": "killed from outside",
    "SIGTERM": "ended from outside",
    "no answer": "it runs, but its output cannot be read",
}
_OUTSIDE = {"SIGKILL", "SIGTERM"}
_FAULTS = {"SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT"}
# The longest piece of a line that is kept.
_LINE_BYTES = 1 << 9
# A process that closed its output has so long to end.
_SECONDS_TO_END = 10.0
# What native code says when it gives up; the first of these is the reason.
_REASON = re.compile(
    r"GGML_ASSERT|GGML_ABORT|what\(\):|terminate called|Assertion|fatal error|out of memory", re.IGNORECASE
)
_NO_MEMORY = re.compile(r"bad_alloc|out of memory|insufficient memory|failed to allocate|MemoryError", re.IGNORECASE)


@dataclass(frozen=True)
class Death:
    """The end of a process: the name of its signal, or its exit code as text, and its last words."""

    cause: str
    words: str = ""
    out_of_memory: bool = False

    @property
    def from_outside(self) -> bool:
        """Whether something else ended it, and not for its memory; it says nothing about what the process was doing."""
        return self.cause in _OUTSIDE and not self.out_of_memory

    @property
    def is_fault(self) -> bool:
        """Whether native code did something that it may not, which it will do again."""
        return self.cause in _FAULTS and not self.out_of_memory

    @property
    def is_exit(self) -> bool:
        """Whether it ended by itself, as a program does that has no more to do or reports an error."""
        return self.cause.startswith("exit code") and not self.out_of_memory

    def __str__(self) -> str:
        """Return it as part of a sentence."""
        meaning = "lack of memory" if self.out_of_memory else _MEANINGS.get(self.cause, "it ended by itself")
        return f"{self.cause}: {meaning}" + (f": {self.words}" if self.words else "")


class LastWords:
    """Reads a stream of errors in a thread, so that its writer never waits, and keeps the last lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._thread = Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError), stream:
            for line in iter(lambda: stream.readline(_LINE_BYTES), b""):
                self._lines.append(line.decode("utf-8", "replace").strip())

    @property
    def lines(self) -> list[str]:
        """What was said, once the writer has ended."""
        self._thread.join(timeout=1.0)
        return [line for line in self._lines if line]


def death_of(process: subprocess.Popen[bytes], words: Iterable[str], *, oom_kills_before: int | None) -> Death:
    """Wait for a process that ended, and say how; one that lives on is killed.

    Args:
        process: It has closed its output, or said what is no message.
        words: The last lines of its stderr.
        oom_kills_before: What ``oom_kills`` said when it was started.
    """
    try:
        code = process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return Death("no answer")
    if code < 0 or _SHELL_SIGNAL < code < _SHELL_SIGNAL + 64:
        number = -code if code < 0 else code - _SHELL_SIGNAL
        cause = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    else:
        cause = _WINDOWS.get(code, f"exit code {code}")
    said = list(words)
    reason = next((line for line in said if _REASON.search(line)), said[-1] if said else "")
    now = oom_kills()
    killed = cause == "SIGKILL" and (now is None or oom_kills_before is None or now > oom_kills_before)
    return Death(cause, reason, killed or any(map(tells_of_memory, said)))


def tells_of_memory(words: str) -> bool:
    """Whether native code says that it lacks memory."""
    return bool(_NO_MEMORY.search(words))


def oom_kills(root: Path = Path("/")) -> int | None:
    """Return how many processes this system has killed for lack of memory so far, or None where it does not report it.

    Source: the line ``oom_kill`` of ``/proc/vmstat``, Linux 4.13 and later; kills in a container count as well.
    """
    with suppress(OSError, ValueError):
        found = re.search(r"^oom_kill (\d+)$", (root / "proc/vmstat").read_text(encoding="ascii"), re.MULTILINE)
        return int(found[1]) if found else None
    return None
