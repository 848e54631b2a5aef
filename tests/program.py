"""Run the installed program as a user does: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked import run_anew, run_script

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge.exe" if os.name == "nt" else "vlm4rec-edge")

# Runs the program inside a Python that first lacks some packages, and that tells at its end which modules it loaded.
_WATCHED = """
import sys
for name in sys.argv.pop(1).split(","):
    if name:
        sys.modules[name] = None
from vlm4rec_edge.cli import main
sys.argv[0] = "vlm4rec-edge"
try:
    main()
finally:
    loaded = sorted(name for name, module in sys.modules.items() if module is not None and "." not in name)
    sys.stderr.write("LOADED " + " ".join(loaded))
"""


# Runs the program on a terminal of its own, after a statement that is given before its arguments.
_ON_A_TERMINAL = """
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    exec(sys.argv.pop(1))
    from vlm4rec_edge.cli import main
    main()
seen = b""
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    seen += part
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Done:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    @property
    def loaded(self) -> set[str]:
        """The top-level modules that were loaded (only after ``watched``)."""
        return set(self.err.rpartition("LOADED ")[2].split())


def program(*arguments: object, cwd: Path | None = None) -> Done:
    """Run ``vlm4rec-edge`` with these arguments. A traceback is never right, so it is refused for every test."""
    if os.name == "nt":  # where it is no script
        return _done(run_anew([str(PROGRAM), *map(str, arguments)], cwd))
    return _done(run_script(PROGRAM, *arguments, cwd=cwd))


def typed(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run in a folder what a page tells a user to type: the program, or Python with code or a script."""
    name, *arguments = command
    assert name in {"vlm4rec-edge", "python"}, f"{name} is not ours"
    return run_script(*([PROGRAM] if name == "vlm4rec-edge" else []), *arguments, cwd=folder)


def watched(*arguments: object, without: str = "") -> Done:
    """Run the program, with the packages ``without`` (comma between them) missing, and see what it loads."""
    return _done(run_anew([sys.executable, "-c", _WATCHED, without, *map(str, arguments)]))


def on_a_terminal(
    *arguments: object, environment: Mapping[str, str], first: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run the program with its output on a terminal of its own, which comes back as stdout; ``first`` is run before it."""
    return subprocess.run(
        [sys.executable, "-c", _ON_A_TERMINAL, first, *map(str, arguments)],
        capture_output=True,
        env=dict(environment),
        check=False,
        timeout=120,
    )


def at_a_terminal(*arguments: object, answer: str) -> Done:
    """Run the program where somebody sits at a terminal, and answers every question with ``answer``."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are of POSIX")
    ours, theirs = pty.openpty()
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, encoding="utf-8") as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        shown = bytearray()
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # Linux's way to say that the other end was closed
            pass
        assert process.stdout
        out = process.stdout.read()
    os.close(ours)
    return _done(subprocess.CompletedProcess(command, process.returncode, out, shown.decode("utf-8", "replace")))


def _done(process: subprocess.CompletedProcess[str]) -> Done:
    assert "Traceback" not in process.stderr, process.stderr
    assert "Error in" not in process.stderr, process.stderr
    return Done(process.returncode, process.stdout, process.stderr)
