"""The captioning process: llama.cpp at work where a fault of its native code takes nothing else with it.

A program of its own, started by ``IsolatedCaptioner`` and spoken to over stdin and stdout (``grounding.child.wire``):

- to it, once: ``{"do": "load", "files": ..., "settings": ...}``; then, as often as wanted, ``{"do": "caption", "id",
  "question", "only_vector", "sha256"}`` and the bytes of a photo. When its stdin ends, so does it.
- from it, after the line that every program of ``spawn`` begins with: ``{"event": "ready", "batch", "kv_bytes", "engines",
  "tower", "gpu", "processor", "llama_cpp"}``, then ``{"event": "caption", "id", "text", "fields"}`` and the bytes of the
  photo's vector, if it has one, or ``{"event": "failure", "id", "stage", "reason"}`` for each photo, as they finish; at any
  time ``{"event": "warning", "message"}``, and ``{"event": "encoder", "graph", "at_work"}`` before and after native code
  loads or computes a graph of the vision encoder; at its end perhaps ``{"event": "error", "kind", "message"}``.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any

from vlm4rec_edge.errors import VisionEncoderError, Vlm4RecError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import wire
from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest

# Where memory ends, the kernel shall take this process, which can be started again, and not the one that has the work.
_OOM_SCORE = "500"


def main() -> None:
    """Run the program."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the parent says when to stop
    _give_way()
    inbox, outbox = _take_streams()
    tell = _Teller(outbox).tell
    _tell_warnings(tell)
    try:
        _serve(inbox, tell)
    except VisionEncoderError as error:
        tell("error", kind=type(error).__name__, message=error.reason)  # the rest of its message is the class's
    except Vlm4RecError as error:
        tell("error", kind=type(error).__name__, message=str(error))
    except MemoryError:
        tell("error", kind="MemoryError", message="")
    except OSError as error:  # a file of the model is gone, for one
        place = error.filename or "A file of the model"
        tell("error", kind="ModelError", message=f"{place} cannot be used: {error.strerror or error}.")
    except Exception:
        tell("error", kind="", message=traceback.format_exc())
    os._exit(1)  # threads of llama.cpp may still be at work


def _serve(inbox: IO[bytes], tell: Callable[..., None]) -> None:
    first = wire.receive(inbox)
    if first is None:
        os._exit(0)
    order = first[0]
    photos = _Photos(inbox)  # from now on the end of stdin ends the process, however long the model takes to load
    with _Captioner(files_from(order["files"]), **settings_from(order["settings"])) as captioner:
        captioner.tell = tell
        captioner.load()
        tell("ready", **_facts(captioner))
        for result in captioner.caption(photos.requests()):
            photos.under_way -= 1
            if isinstance(result, Captioned):
                vector = b"" if result.vector is None else result.vector.astype(wire.VECTOR, copy=False).tobytes()
                tell("caption", vector, id=int(result.key), text=result.text, fields=result.fields)
            else:
                tell("failure", id=int(result.where), stage=result.stage, reason=result.reason)


class _Captioner(LlamaCaptioner):
    """Tells when native code of the vision encoder is at work: where this process dies of it, llama.cpp's own takes over."""

    tell: Callable[..., None]

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        self.tell("encoder", graph=str(self._graph_path), at_work=True)
        try:
            yield
        finally:
            self.tell("encoder", graph=str(self._graph_path), at_work=False)


class _Photos:
    """The photos that arrive; read in a thread of its own, so that the parent need not wait while others are captioned."""

    def __init__(self, inbox: IO[bytes]) -> None:
        self.under_way = 0
        self._arrived: queue.Queue[CaptionRequest | MemoryError] = queue.Queue()
        Thread(target=self._read, args=(inbox,), daemon=True).start()

    def _read(self, inbox: IO[bytes]) -> None:
        from vlm4rec_edge.catalog.photo import PhotoFile

        try:
            while (received := wire.receive(inbox)) is not None:
                order, content = received
                photo = PhotoFile(content, order["sha256"])
                self._arrived.put(CaptionRequest(str(order["id"]), photo, order["question"], order["only_vector"]))
        except MemoryError as error:
            self._arrived.put(error)
            return
        os._exit(0)  # the parent has closed the pipe, or is dead: what is under way is not needed

    def requests(self) -> Iterator[CaptionRequest | None]:
        """Yield the photos as they come; None where none is there and others are under way."""
        while True:
            try:
                request = self._arrived.get(block=self.under_way == 0)
            except queue.Empty:
                yield None
                continue
            if isinstance(request, MemoryError):
                raise request
            self.under_way += 1
            yield request


def files_from(described: Mapping[str, Any]) -> Any:
    """Return the model files that the parent has checked; see ``IsolatedCaptioner``."""
    from vlm4rec_edge.models.manifest import LvlmSettings
    from vlm4rec_edge.models.resolve import LvlmFiles

    places = {role: Path(described[role]) for role in ("text", "projector", "folder")}
    return LvlmFiles(described["name"], settings=LvlmSettings(**described["settings"]), manifest=None, **places)


def settings_from(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a ``LlamaCaptioner``, a schema made of its document."""
    from vlm4rec_edge.grounding.schema import parse_schema

    settings = dict(described)
    if settings["structured"] is not None:
        settings["structured"] = parse_schema(settings["structured"])
    else:
        settings["structured"] = False
    return settings


def _facts(captioner: LlamaCaptioner) -> dict[str, Any]:
    import numpy as np

    from vlm4rec_edge.grounding.llama.native import load_bindings

    llama = load_bindings()
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "batch": captioner.batch,
        "kv_bytes": captioner.kv_bytes,
        "engines": captioner.engines,
        "tower": captioner.tower,
        "gpu": bool(llama.llama_supports_gpu_offload()),
        "processor": list(found),
        "llama_cpp": llama.llama_print_system_info().decode("utf-8", "replace"),
    }


def _take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return stdin and stdout for messages; what native code prints to stdout goes to stderr from now on."""
    outbox = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, outbox


def _give_way() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    with suppress(ImportError, ValueError, OSError):  # Windows has no such module
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no file of gigabytes in the user's folder


class _Teller:
    """Sends messages to the parent, from any thread."""

    def __init__(self, outbox: IO[bytes]) -> None:
        self._outbox = outbox
        self._lock = Lock()

    def tell(self, event: str, content: bytes = b"", **message: Any) -> None:
        with self._lock, suppress(OSError):  # the parent is gone; the end of stdin says so as well
            wire.send(self._outbox, {"event": event, **message}, content)


def _tell_warnings(tell: Callable[..., None]) -> None:
    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, Vlm4RecWarning):
            tell("warning", message=str(message))

    warnings.showwarning = show
    warnings.simplefilter("always", Vlm4RecWarning)  # the parent has its own filters


if __name__ == "__main__":
    main()
