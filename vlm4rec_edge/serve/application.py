"""The ASGI application: a request is looked at, read, answered, and written."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from vlm4rec_edge import __version__
from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.serve.endpoints import Asked, Endpoints
from vlm4rec_edge.serve.errors import HttpError, error_document, status_of
from vlm4rec_edge.serve.fields import read_body, read_query
from vlm4rec_edge.serve.files import page_files
from vlm4rec_edge.serve.following import ServedIndex
from vlm4rec_edge.serve.guards import Guard
from vlm4rec_edge.serve.openapi import openapi_document
from vlm4rec_edge.serve.operations import Operation, matching
from vlm4rec_edge.serve.photos import Picture
from vlm4rec_edge.serve.reference import reference_page
from vlm4rec_edge.serve.requests import check_photo, json_body, photo_body, query_of, segments_of
from vlm4rec_edge.serve.response import Answer
from vlm4rec_edge.serve.working import answering, captioning, decoding

_log = logging.getLogger("vlm4rec_edge.serve")
# What an answer of these says does not hang on the index alone.
_CHANGING = {"state", "health", "session"}
_LOGGED_BYTES = 4_000
_MOST_UPLOADS = 4
# A request waits so long for what was written to be taken up; of 100,000 items that takes some seconds.
_PATIENCE_SECONDS = 1.0


class Application(Closable):
    """The ASGI application that ``vlm4rec_edge.serve.app`` returns; ``close`` lets go of its threads."""

    def __init__(self, served: ServedIndex, endpoints: Endpoints, guard: Guard, *, log_histories: bool = False) -> None:
        self._served = served
        self._endpoints = endpoints
        self._guard = guard
        self._logs_histories = log_histories
        self._uploads = 0  # photos that are being sent
        self._answering, self._decoding, self._captioning = answering(), decoding(), captioning()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (https://asgi.readthedocs.io/en/stable/specs/www.html)."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.close()
                return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = Headers(scope=scope)
        told: dict[str, Any] = {"route": "-", "body": b""}
        origin = None
        try:
            self._guard.check_host(headers)
            origin = self._guard.check_origin(headers)
            answer = await self._answer(scope, headers, receive, told, origin)
        except HttpError as error:
            answer = Answer.of(error_document(error.kind, str(error)), error.status, dict(error.headers))
        except Vlm4RecError as error:
            answer = Answer.of(error_document(type(error).__name__, str(error)), status_of(error))
        except asyncio.CancelledError:  # by uvicorn, which is being stopped
            answer = Answer.of(error_document("StoppingError", "The server is being stopped."), 503)
        except Exception:  # a bug of ours: the trace is for the log, never for the client
            _log.exception("%s %s failed", scope["method"], told["route"])
            answer = Answer.of(error_document("InternalError", "The server failed at this; its log says where."), 500)
        await answer.send(send, head=scope["method"] == "HEAD", origin=origin)
        self._note(scope, told, answer.status, time.perf_counter() - started)

    def _note(self, scope: Scope, told: Mapping[str, Any], status: int, seconds: float) -> None:
        """Write a line of the log: the route, not what was asked for, unless that was asked for."""
        asked = told["route"]
        if self._logs_histories:
            query = scope.get("query_string", b"").decode("ascii", "replace")
            asked = ascii(f"{scope['path']}{'?' if query else ''}{query}")[1:-1]
            asked += f" {ascii(told['body'][:_LOGGED_BYTES])[2:-1]}" if told["body"] else ""
        _log.info("%s %s %d %.1f ms", scope["method"], asked, status, 1e3 * seconds)

    async def _answer(
        self, scope: Scope, headers: Headers, receive: Receive, told: dict[str, Any], origin: str | None
    ) -> Answer:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        segments = segments_of(scope)
        if method == "OPTIONS" and origin is not None:
            told["route"] = "preflight"
            return Answer.preflight()
        if (answer := self._of_page(scope, method, segments, headers)) is not None:
            told["route"] = "page"
            return answer
        operations, item = matching(segments)
        operation = next((one for one in operations if one.method == method), None)
        if not operations:
            raise HttpError(404, "NotFoundError", "There is nothing at this path; /reference says what there is.")
        told["route"] = operations[0].path
        if operation is None:
            methods = ", ".join(one.method for one in operations)
            raise HttpError(405, "MethodNotAllowedError", f"This path takes {methods}.", allow=methods)
        if not operation.open:
            self._guard.check_token(headers)
        return await self._operation(operation, item, scope, headers, receive, told)

    async def _operation(
        self,
        operation: Operation,
        item: str | None,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        told: dict[str, Any],
    ) -> Answer:
        query = read_query(operation.query, query_of(scope))
        if operation.name == "health":
            return Answer.of({"ok": True})
        document, photo = None, b""
        if operation.body is not None:
            document, body = await json_body(headers, receive)
            told["body"] = b"" if operation.name == "session" else body
            query = {**query, **read_body(operation.body, document)}
        elif operation.uploads:
            photo = await self._upload(headers, receive)
        if operation.name == "session":
            return self._session(query["token"])
        await self._look()
        known = headers.get("if-none-match", "").removeprefix("W/").strip('"')
        if operation.name == "photo":
            picture = await self._decoding.do(lambda: self._endpoints.photo(Asked(query, item or "", known_tag=known)))
            return _picture(picture, known)
        tag = self._tag()
        is_tagged = operation.method == "GET" and operation.name not in _CHANGING
        if is_tagged and known == tag:
            return Answer.unchanged(tag)
        work = self._work(operation, Asked(query, item or "", photo))
        answer = Answer.of(await (self._captioning if operation.uploads else self._answering).do(work))
        return answer.tagged(tag) if is_tagged else answer

    async def _upload(self, headers: Headers, receive: Receive) -> bytes:
        """Return an uploaded photo; of few clients at a time, for each may send 25 MB."""
        check_photo(headers)
        self._endpoints.check_captioner()
        if self._uploads >= _MOST_UPLOADS:
            raise HttpError(
                429,
                "TooManyRequests",
                f"{_MOST_UPLOADS} photos are being sent already; ask again in a second.",
                **{"retry-after": "1"},
            )
        self._uploads += 1
        try:
            return await photo_body(headers, receive)
        finally:
            self._uploads -= 1

    async def _look(self) -> None:
        """Take up what was written to the index, if it is time to look; a large index goes on doing so behind the answer."""
        if self._served.is_time_to_look():
            looking = asyncio.ensure_future(self._answering.do(self._served.look))
            looking.add_done_callback(_tell_of_fault)
            await asyncio.wait({looking}, timeout=_PATIENCE_SECONDS)

    def _work(self, operation: Operation, asked: Asked) -> Callable[[], Any]:
        if operation.name == "openapi":
            return lambda: openapi_document(self._example_ids(), token=self._guard.token is not None)
        method: Callable[[Asked], Any] = getattr(self._endpoints, operation.name)
        return lambda: method(asked)

    def _tag(self) -> str:
        """Return the ETag of every answer of this version from this moment of the index."""
        return hashlib.sha256(f"{__version__} {self._served.generation}".encode()).hexdigest()[:16]

    def _session(self, token: str) -> Answer:
        if not self._guard.is_token(token):
            raise HttpError(401, "UnauthorizedError", "This is not the token of this server.")
        answer = Answer.of({"signed_in": True})
        return answer.with_header("set-cookie", self._guard.cookie()) if self._guard.token is not None else answer

    def _of_page(self, scope: Scope, method: str, segments: list[str], headers: Headers) -> Answer | None:
        """Return a file of the page, which holds nothing of the index; None for any other path."""
        if method != "GET":
            return None
        name = {"": "index.html"}.get("/".join(segments), "")
        if not segments:  # mounted, and asked for without the slash by which its other files are found
            return Answer.elsewhere(f"{scope.get('root_path', '')}/")
        if segments == ["reference"]:
            self._guard.check_token(headers)
            address = f"{scope['scheme']}://{headers.get('host', '')}{scope.get('root_path', '')}"
            return Answer(
                reference_page(self._example_ids(), address).encode("utf-8", "replace"), "text/html; charset=utf-8"
            )
        if len(segments) == 2 and segments[0] == "page":
            name = segments[1]
        file = page_files().get(name)
        if file is None:
            return None
        if headers.get("if-none-match", "").strip('"') == file.tag:
            return Answer.unchanged(file.tag)
        return Answer(file.content, file.media_type).tagged(file.tag)

    def _example_ids(self) -> list[str]:
        ids = [item.id for item in self._served.shop().items(limit=2).items]
        return [ids[0], ids[-1]]

    def close(self) -> None:
        """Let go of the threads, and of what was opened beside the recommender."""
        for workers in (self._answering, self._decoding, self._captioning):
            workers.close()
        self._served.close()


def _tell_of_fault(looking: asyncio.Future[None]) -> None:
    if not looking.cancelled() and (fault := looking.exception()) and not isinstance(fault, HttpError):
        _log.error("Looking at the index failed", exc_info=fault)


def _picture(picture: Picture, known: str) -> Answer:
    if picture.tag == known:
        return Answer.unchanged(picture.tag)
    return (
        Answer(picture.content, "image/jpeg").tagged(picture.tag).with_header("cache-control", "private, max-age=300")
    )
