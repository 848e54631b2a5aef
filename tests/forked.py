"""Run Python programs in processes of their own, for the price of a fork.

A process imports what most of our programs import, and forks for every run. The child has arguments, environment, folder,
streams, exit code and an end of its own, as if it were started anew; only the imports are done already, which take longer
than most commands, and are not torn down at its end, which takes as long again. So this is not for claims about imports,
about variables that are read by them, or about what native code does at the end of a process. With ``interpreter`` it is
not for claims about process ids, memory or signals to a group either: the process that was started only stands for it.

``run_script`` runs a script so. ``interpreter`` is a command that stands for Python, for what our own programs start: the
captioning process above all.
"""

from __future__ import annotations

import atexit
import gc
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TextIO

import forked_python

_SECONDS = 600
# None of them starts a thread that a fork would lose, apart from NumPy's, whose BLAS expects forks.
_IMPORTED = (
    "vlm4rec_edge.cli.app",
    "vlm4rec_edge.batch.run",
    "vlm4rec_edge.bundle.reader",
    "vlm4rec_edge.catalog.reader",
    "vlm4rec_edge.encoding.opening",
    "vlm4rec_edge.evaluation.evaluating",
    "vlm4rec_edge.grounding.child.isolated",
    "vlm4rec_edge.grounding.child.worker",
    "vlm4rec_edge.grounding.llama.probe",
    "vlm4rec_edge.grounding.schema",
    "vlm4rec_edge.index_folder",
    "vlm4rec_edge.models.resolve",
    "vlm4rec_edge.recommend.recommender",
    "onnxruntime",
    "tokenizers",
    "hnswlib",
    "PIL.Image",
)
# A request has the arguments and the variables of a process.
_REQUEST_BYTES = 1 << 20


def can_fork() -> bool:
    """Whether processes can be forked here: elsewhere one that has used the libraries of the system may not be."""
    return sys.platform == "linux"


def interpreter() -> list[str]:
    """Return the command of a Python that has its imports; it takes ``-P -c CODE``, or a script before them."""
    if not can_fork():
        return [sys.executable]
    return [sys.executable, "-I", "-S", forked_python.__file__, _address()]


def run_script(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python script with these arguments, nothing on its stdin; return what ``subprocess.run`` does."""
    words = list(map(str, command))
    if not can_fork():
        return run_anew([sys.executable, *words], cwd)
    with ExitStack() as opened:
        stdin = opened.enter_context(Path(os.devnull).open("rb"))
        out, err = (opened.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        streams = [stream.fileno() for stream in (stdin, out, err)]
        code = forked_python.ask(_address(), words, dict(os.environ), str(cwd or Path.cwd()), streams, _SECONDS)
        said = [os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0) for stream in (out, err)]
    texts = [text.decode("utf-8", "replace").replace("\r\n", "\n") for text in said]
    return subprocess.CompletedProcess(words, code, *texts)


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


@cache
def _address() -> str:
    """Start the process that forks, and return the path of its socket."""
    folder = tempfile.TemporaryDirectory(prefix="forked-")
    address = str(Path(folder.name, "socket"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()  # from now on every request is answered, once the imports are done
        command = [sys.executable, __file__, str(listener.fileno())]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)  # closes its stdin, which ends it
    return address


def _serve(listener: socket.socket) -> None:
    """Fork for every request until stdin ends."""
    for name in _IMPORTED:
        import_module(name)
    import_module("vlm4rec_edge.grounding.llama.native").load_bindings()
    gc.collect()
    gc.freeze()  # so that a child does not copy the memory of what it never touches
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        asker, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(asker, _REQUEST_BYTES, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of NumPy's thread
            child = os.fork()
        if not child:
            listener.close()
            asker.close()
            _become(*marshal.loads(message), streams)
            _end(_run())
        for stream in streams:
            os.close(stream)
        threading.Thread(target=_wait, args=(child, asker), daemon=True).start()


def _wait(child: int, asker: socket.socket) -> None:
    """Tell the one who asked for a child how it ended; if that one ends first, kill the child."""
    end = os.pidfd_open(child)
    if end not in select.select([end, asker], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):
        asker.send(str(code).encode())
    asker.close()
    os.close(end)


def _become(command: list[str], environment: dict[str, str], cwd: str, streams: list[int]) -> None:
    """Be the process that was asked for."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for descriptor, (opened, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(opened, descriptor)
        os.close(opened)
        setattr(sys, name, _stream(descriptor, getattr(sys, name)))
    sys.argv = command
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stream(descriptor: int, former: TextIO) -> TextIO:
    """Open a standard stream as Python does; the former one knows whether its own file is a terminal or can be sought."""
    buffering = 1 if former is sys.stderr else -1
    return open(descriptor, former.mode, buffering, encoding=former.encoding, errors=former.errors, closefd=False)


def _run() -> int:
    """Run the program of ``sys.argv``, and return its exit code; what else ends it is raised, as Python would see it."""
    try:
        if sys.argv[0].startswith("-"):
            code = sys.argv.index("-c") + 1
            sys.argv, program = ["-c", *sys.argv[code + 1 :]], sys.argv[code]
            exec(program, {"__name__": "__main__"})
        else:
            sys.path[0] = str(Path(sys.argv[0]).parent)
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):  # a last word, which Python writes
            raise
        return end.code or 0
    return 0


def _end(code: int) -> NoReturn:
    """End as Python does, but for the modules that were there before."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
