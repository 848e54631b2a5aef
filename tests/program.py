"""Run the installed program as a user does: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge.exe" if os.name == "nt" else "vlm4rec-edge")
_SECONDS = 240

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


def program(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Done:
    """Run ``vlm4rec-edge`` with these arguments. A traceback is never right, so it is refused for every test."""
    return _run([str(PROGRAM), *map(str, arguments)], cwd, env)


def watched(*arguments: object, without: str = "") -> Done:
    """Run the program, with the packages ``without`` (comma between them) missing, and see what it loads."""
    return _run([sys.executable, "-c", _WATCHED, without, *map(str, arguments)], None, None)


def _run(command: list[str], cwd: Path | None, env: Mapping[str, str] | None) -> Done:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Error in" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)
