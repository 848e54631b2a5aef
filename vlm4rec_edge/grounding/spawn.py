"""Programs of our own in a process of their own: a new interpreter, not a fork, so that notebooks, scripts and GPUs work."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.grounding.death import LastWords, death_of, oom_kills

# The command of the interpreter that runs them, split as a shell does; default: the one that runs now. An emulator can be
# put before it: "qemu-x86_64-static -cpu Haswell /usr/bin/python3".
PYTHON_VARIABLE = "VLM4REC_EDGE_PYTHON"

# What a program says once all is imported; before it comes what a wrapper or a sitecustomize of the user's may print.
STARTED = "vlm4rec-edge has started"
# -P: nothing is imported from the current folder. The parent sends where modules are.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); from {module} import main; "
    f"print({STARTED!r}, flush=True); main()"
)


def interpreter() -> list[str]:
    """Return the command that runs Python.

    Raises:
        UsageError: the variable cannot be split, or this Python is part of another program, which is no interpreter.
    """
    chosen = os.environ.get(PYTHON_VARIABLE, "")
    own = [] if getattr(sys, "frozen", False) or not sys.executable else [sys.executable]  # frozen: as by PyInstaller
    try:
        command = shlex.split(chosen) or own
    except ValueError as error:
        raise UsageError(f"{PYTHON_VARIABLE} is not a command line ({error}): {chosen}") from None
    if not command:
        raise UsageError(
            f"This Python is part of another program; name the interpreter that captions in the variable {PYTHON_VARIABLE}."
        )
    return command


def start(module: str, *arguments: str) -> tuple[subprocess.Popen[bytes], LastWords]:
    """Start ``module.main()`` in a new interpreter; return it with pipes for stdin and stdout, and what reads its stderr.

    It finds the modules that this process finds, the current folder apart.

    Raises:
        UsageError: the interpreter cannot be started, or not run the program.
    """
    kills = oom_kills()
    command = [*interpreter(), "-P", "-c", _BOOTSTRAP.format(module=module), *arguments]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=-1
        )
    except OSError as error:
        raise UsageError(
            f"{command[0]} cannot be started ({error.strerror or error}); {PYTHON_VARIABLE} names the Python that does the "
            "captioning."
        ) from None
    assert process.stdin and process.stdout and process.stderr
    words = LastWords(process.stderr)
    try:
        with suppress(OSError):  # it has ended already
            process.stdin.write(json.dumps(_search_path()).encode() + b"\n")
            process.stdin.flush()
        if any(line.strip() == STARTED.encode() for line in process.stdout):
            return process, words
    except BaseException:
        process.kill()
        raise
    death = death_of(process, words.lines, oom_kills_before=kills)
    if not death.is_exit:
        return process, words  # reading from it will show how it died
    raise UsageError(
        f"{shlex.join(interpreter())} cannot run {module} ({death}). It must be Python 3.11 or later with the packages of "
        f"this one; {PYTHON_VARIABLE} names the Python that does the captioning."
    )


def _search_path() -> list[str]:
    """Return where this process looks for modules, without the current folder; this very package is what is found there."""
    places = [place for place in sys.path if isinstance(place, str) and place not in {"", "."}]
    package = Path(__file__).resolve().parents[1]
    found = PathFinder.find_spec(package.name, places)
    if found is not None and found.origin and Path(found.origin).resolve().parent == package:
        return places
    return [str(package.parent), *places]  # this process found it in the current folder, or by a hook
