"""Run Python programs in processes of their own, for the price of a fork.

A process imports what most of our programs import, and forks for every run. The child has arguments, environment, folder,
streams, exit code and an end of its own, as if it were started anew; only the imports are done already, which take longer
than most commands. So this is not for claims about imports, or about variables that are read by them.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_SECONDS = 240
# None of them starts a thread that a fork would lose, apart from NumPy's, whose BLAS expects forks.
_IMPORTED = (
    "vlm4rec_edge.cli.app",
    "vlm4rec_edge.batch.run",
    "vlm4rec_edge.bundle.reader",
    "vlm4rec_edge.catalog.reader",
    "vlm4rec_edge.encoding.opening",
    "vlm4rec_edge.evaluation.evaluating",
    "vlm4rec_edge.grounding.child.isolated",
    "vlm4rec_edge.index_folder",
    "vlm4rec_edge.recommend.recommender",
    "onnxruntime",
    "tokenizers",
    "hnswlib",
    "PIL.Image",
)


def run_script(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python script with these arguments, nothing on its stdin; return what ``subprocess.run`` does."""
    words = list(map(str, command))
    # Elsewhere a process that has used the libraries of the system may not be forked.
    return _forked(words, cwd) if sys.platform == "linux" else run_anew([sys.executable, *words], cwd)


def run_anew(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that is started for it."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        timeout=_SECONDS,
        check=False,
    )


def _forked(command: list[str], cwd: Path | None) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        streams = [Path(folder, name) for name in ("out", "err")]
        request = {
            "command": command,
            "environment": dict(os.environ),
            "cwd": str(cwd or Path.cwd()),
            "streams": list(map(str, streams)),
        }
        server = _server()
        assert server.stdin and server.stdout
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        out, err = (stream.read_text(encoding="utf-8", errors="replace") for stream in streams)
    return subprocess.CompletedProcess(command, code, out, err)


@cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)  # closes its stdin, which ends it
    return server


def _serve() -> None:
    """Fork for every request, and tell the exit code of the child."""
    for name in _IMPORTED:
        import_module(name)
    gc.collect()
    gc.freeze()  # so that a child does not copy the memory of what it never touches
    for line in sys.stdin:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of NumPy's thread
            child = os.fork()
        if not child:
            request = json.loads(line)
            _become(request)
            runpy.run_path(request["command"][0], run_name="__main__")
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


def _become(request: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    for descriptor, place in enumerate([os.devnull, *request["streams"]]):
        opened = os.open(place, os.O_WRONLY | os.O_CREAT if descriptor else os.O_RDONLY, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = request["command"]
    sys.path[0] = str(Path(request["command"][0]).parent)
    signal.alarm(_SECONDS)


if __name__ == "__main__":
    _serve()
