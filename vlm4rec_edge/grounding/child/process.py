"""The captioning process as its parent sees it: started, spoken to, and found dead."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

from vlm4rec_edge import errors
from vlm4rec_edge.errors import Vlm4RecError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import wire
from vlm4rec_edge.grounding.death import Death, death_of, oom_kills
from vlm4rec_edge.grounding.protocol import CaptionRequest
from vlm4rec_edge.grounding.spawn import start


class DiedError(Exception):
    """The child is dead; ``IsolatedCaptioner`` deals with it, and nobody else sees it.

    Attributes:
        death: How it died.
        graph: Of the vision encoder whose native code was at work then; else empty.
    """

    def __init__(self, death: Death, graph: str = "") -> None:
        super().__init__(str(death))
        self.death, self.graph = death, graph


class Worker:
    """A child process and the pipes to it."""

    def __init__(self) -> None:
        self._oom_kills = oom_kills()
        self._process, self._words = start("vlm4rec_edge.grounding.child.worker")
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self.batch, self.kv_bytes, self.engines, self.tower = 1, 0, 0, ""
        self.graph, self._encoding = "", 0  # of the vision encoder, and in how many threads it is at work

    def load(self, described: dict[str, Any]) -> dict[str, Any]:
        """Have the model loaded; return what the child says of itself and of the machine."""
        self._send({"do": "load", **described})
        facts, _ = self.receive()
        self.batch, self.kv_bytes, self.engines = facts["batch"], facts["kv_bytes"], facts["engines"]
        self.tower = facts["tower"]
        return facts

    def ask(self, number: int, request: CaptionRequest) -> None:
        """Send a photo."""
        photo = request.photo
        wanted = {"question": request.question, "only_vector": request.only_vector}
        self._send({"do": "caption", "id": number, **wanted, "sha256": photo.sha256}, photo.content)

    def _send(self, message: dict[str, Any], content: bytes = b"") -> None:
        with suppress(BrokenPipeError):  # it is dead; first comes what it still said
            wire.send(self._to, message, content)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next message that is no warning, and return it with its bytes.

        Raises:
            DiedError: there is none any more.
            Vlm4RecError: the child ended by an error of this package.
        """
        while (received := wire.receive(self._from)) is not None:
            message, content = received
            if message["event"] == "warning":
                warnings.warn(message["message"], Vlm4RecWarning, stacklevel=2)
            elif message["event"] == "encoder":
                self.graph = message["graph"]
                self._encoding += 1 if message["at_work"] else -1
            elif message["event"] == "error":
                raise _error_of(message)
            else:
                return message, content
        death = death_of(self._process, self._words.lines, oom_kills_before=self._oom_kills)
        raise DiedError(death, self.graph if self._encoding else "")

    def kill(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with suppress(OSError):  # what was not sent yet has no reader any more
                pipe.close()


def _error_of(message: dict[str, Any]) -> Exception:
    if message["kind"] == "MemoryError":
        return DiedError(Death("MemoryError", out_of_memory=True))
    kind = getattr(errors, message["kind"], None)
    if isinstance(kind, type) and issubclass(kind, Vlm4RecError):
        return kind(message["message"])
    return RuntimeError(f"The captioning process failed:\n{message['message']}")
