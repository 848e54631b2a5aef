"""Run a command under strace: whom it and its children spoke to, and which files they wrote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge")
_SECONDS = 240
# A question mark: this processor may not have the call (64-bit Arm has no open).
_FILE_CALLS = (
    *("open", "openat", "openat2", "creat", "truncate", "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat"),
    *("renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
)
_TRACED = "trace=%network," + ",".join(f"?{call}" for call in _FILE_CALLS)
_CALL = re.compile(r"(\w+)\((.*)")
# A path, after the folder that it is relative to where the call names one (-y prints it).
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
# Where anything may be written: what keeps nothing, the terminal, and what a process says to the kernel of itself.
_HARMLESS = {Path("/dev/null"), Path("/dev/tty")}
_OF_ITSELF = Path("/proc/self")
# No other variable comes from outside: on a build server, which ONNX Runtime knows by some, it is quiet by itself.
_KEPT = ("PATH", "LD_LIBRARY_PATH")
_CONSTANT = {"LANG": "C.UTF-8", "OMP_THREAD_LIMIT": "1"}


@cache
def why_not() -> str:
    """Return why nothing can be traced here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace cannot trace here: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True)
class Trace:
    """How a command ended, and what it did.

    Attributes:
        code, out, err: As of any process.
        spoken: The calls that connect or send to an internet address or to a service of this machine, or that listen.
        written: Every path that was opened to be written, made, renamed, linked or removed, whether it succeeded or not.
    """

    code: int
    out: str
    err: str
    spoken: tuple[str, ...]
    written: tuple[Path, ...]

    def outside(self, *places: Path) -> list[str]:
        """Return what was written neither in one of ``places`` nor where it harms nobody.

        Python keeps the compiled form of a module beside it, in ``__pycache__``, where it may.
        """
        folders = [Path(os.path.realpath(place)) for place in places]
        return sorted(
            {
                str(path)
                for path in self.written
                if path not in _HARMLESS
                and not path.is_relative_to(_OF_ITSELF)
                and "__pycache__" not in (path.name, path.parent.name)
                and not any(path.is_relative_to(folder) for folder in folders)
            }
        )


class Running:
    """A command under strace that is at work; ``wait`` for its ``Trace``."""

    def __init__(
        self, command: Sequence[object], *, cwd: Path, home: Path, temporary: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._cwd = cwd
        self._log = Path(tempfile.mkdtemp(prefix="strace-"))
        clean = {name: os.environ[name] for name in _KEPT if name in os.environ}
        strace = ["strace", "-ff", "-y", "-qq", "--seccomp-bpf", "-e", _TRACED, "-e", "signal=none"]
        self._process = subprocess.Popen(
            [*strace, "-o", str(self._log / "calls"), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=cwd,
            env={**clean, **_CONSTANT, "HOME": str(home), "TMPDIR": str(temporary), **(env or {})},
        )

    def wait(self) -> Trace:
        """Wait until the command and its children have ended, and return what they did."""
        try:
            out, err = self._process.communicate(timeout=_SECONDS)
            calls = [
                line for log in sorted(self._log.iterdir()) for line in log.read_text(errors="replace").splitlines()
            ]
        finally:
            self._process.kill()
            shutil.rmtree(self._log)
        assert calls, "strace has seen nothing"
        spoken = tuple(filter(_speaks, calls))
        written = tuple(path for line in calls for path in _written(line, self._cwd))
        return Trace(self._process.returncode, out, err, spoken, written)


def _speaks(line: str) -> bool:
    call = line.partition("(")[0]
    if call in {"connect", "sendto", "sendmsg", "sendmmsg"} and "AF_INET" in line:
        return True
    # Names may be looked up by a service behind a local socket (nscd, systemd-resolved); who listens can be asked.
    return (call == "connect" and "AF_UNIX" in line) or call == "listen"


def _written(line: str, cwd: Path) -> Iterator[Path]:
    match = _CALL.match(line)
    if match is None or match[1] not in _FILE_CALLS:
        return
    call, arguments = match.groups()
    if call.startswith("open") and not _WRITES.search(arguments):
        return
    paths = _PATH.findall(arguments)
    for folder, name in paths[1:] if call.startswith("symlink") else paths:  # a link's target is not touched
        path = cwd / folder / name
        own = path.is_relative_to(_OF_ITSELF)  # which is another process here
        yield path if own else Path(os.path.realpath(path.parent), path.name)
