"""Programs of our own in a process of their own: a new interpreter, not a fork, so that notebooks, scripts and GPUs work."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from vlm4rec_edge.errors import UsageError

# The command of the interpreter that runs them, split as a shell does; default: the one that runs now. An emulator can be
# put before it: "qemu-x86_64-static -cpu Haswell /usr/bin/python3".
PYTHON_VARIABLE = "VLM4REC_EDGE_PYTHON"

# -P: nothing is imported from the current folder. Where modules lie is told by the parent.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); from {module} import main; main()"
)


def interpreter() -> list[str]:
    """Return the command that runs Python.

    Raises:
        UsageError: the variable can not be split, or this Python is part of another program, which is no interpreter.
    """
    chosen = os.environ.get(PYTHON_VARIABLE, "")
    own = [] if getattr(sys, "frozen", False) or not sys.executable else [sys.executable]  # frozen: as by PyInstaller
    try:
        command = shlex.split(chosen) or own
    except ValueError as error:
        raise UsageError(f"{PYTHON_VARIABLE} is no command line ({error}): {chosen}") from None
    if not command:
        raise UsageError(
            f"This Python is part of another program; name the interpreter that captions in the variable {PYTHON_VARIABLE}."
        )
    return command


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``module.main()`` in a new interpreter, with pipes for stdin, stdout and stderr.

    It finds the modules that this process finds, the current folder apart.

    Raises:
        UsageError: the interpreter can not be started.
    """
    command = [*interpreter(), "-P", "-c", _BOOTSTRAP.format(module=module), *arguments]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=-1
        )
    except OSError as error:
        raise UsageError(
            f"{command[0]} can not be started ({error.strerror or error}); {PYTHON_VARIABLE} names the Python that does the "
            "captioning."
        ) from None
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(_search_path()).encode() + b"\n")
        process.stdin.flush()
    except OSError:  # it has ended already; whoever reads from it will see how
        pass
    return process


def _search_path() -> list[str]:
    """Return where this process looks for modules, without the current folder, and where this package lies."""
    package = str(Path(__file__).resolve().parents[2])
    return [*(place for place in sys.path if place not in {"", "."}), package]
