"""uvicorn's HTTP, which also lets go of connections on which no whole request comes, or whose answers nobody reads.

uvicorn closes a connection that is silent after an answer. One on which the first request never comes, or only a line of it
now and then, it would hold forever, and some hundred of them would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# For the line and the headers of a request; bodies have bounds of their own.
HEADER_SECONDS = 20.0
# For a client to take up some of the answer that is ready for it.
UNREAD_SECONDS = 60.0


class ImpatientProtocol(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request that has begun, or no longer if it is there."""
        super().data_received(data)
        if self._lacks_request:
            self._wait()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing: the client reads."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    @property
    def _lacks_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._lacks_request:
            self.transport.close()
