"""A request of HTTP, read within bounds: its path, its query, its body."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from vlm4rec_edge.serve.errors import HttpError
from vlm4rec_edge.serve.operations import MOST_BODY_BYTES, MOST_PHOTO_BYTES, MOST_QUERY_BYTES

# Ids may be long, and are written as three bytes a byte.
_MOST_PATH_BYTES = 12 << 10
_JSON_SECONDS, _PHOTO_SECONDS = 10.0, 60.0
_MOST_FIELDS = 1_000
_MOST_DIGITS = 12


def segments_of(scope: Scope) -> list[str]:
    """Return the parts of the path below where the application is mounted, decoded each for itself.

    So an id may hold a slash, written as ``%2F``.

    Raises:
        HttpError: the path is too long, or no UTF-8.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    raw = raw.partition(b"?")[0]
    if len(raw) > _MOST_PATH_BYTES:
        raise HttpError(414, "TooLongError", f"The path has {len(raw):,} bytes; it may have {_MOST_PATH_BYTES:,}.")
    root = scope.get("root_path", "").rstrip("/")
    parts = raw.split(b"/")[1:]
    if root and scope["path"].startswith(root):  # some servers leave it out of the path
        parts = parts[root.count("/") :]
    try:
        return [unquote_to_bytes(part).decode("utf-8") for part in parts]
    except UnicodeDecodeError:
        raise HttpError(400, "UsageError", "The path is not UTF-8; encode ids as UTF-8, each byte as %XX.") from None


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """Return the names and values of the query.

    Raises:
        HttpError: it is too long, or no UTF-8.
    """
    query: bytes = scope.get("query_string", b"")
    if len(query) > MOST_QUERY_BYTES:
        raise HttpError(414, "TooLongError", f"The query has {len(query):,} bytes; it may have {MOST_QUERY_BYTES:,}.")
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:  # a UnicodeDecodeError is one
        raise HttpError(400, "UsageError", "The query cannot be read; encode it as UTF-8, each byte as %XX.") from None


async def json_body(headers: Headers, receive: Receive) -> tuple[Any, bytes]:
    """Return the JSON document of a body, and its bytes.

    Raises:
        HttpError: it is of another type, too large, too slow, or no JSON.
    """
    _check_type(headers, "application/json")
    body = await _body(headers, receive, MOST_BODY_BYTES, _JSON_SECONDS)
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse), body
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise HttpError(400, "UsageError", f"The body is not JSON: {reason[:200]}.") from None


def check_photo(headers: Headers) -> None:
    """Look at what is said of an uploaded photo before it is taken.

    Raises:
        HttpError: it is of another type, or too large.
    """
    _check_type(headers, "image/")
    _check_length(headers, MOST_PHOTO_BYTES)


async def photo_body(headers: Headers, receive: Receive) -> bytes:
    """Return the bytes of an uploaded photo, after ``check_photo``.

    Raises:
        HttpError: it is too large, too slow, or empty.
    """
    body = await _body(headers, receive, MOST_PHOTO_BYTES, _PHOTO_SECONDS)
    if not body:
        raise HttpError(400, "UsageError", "The body is empty; send the bytes of a photo file.")
    return body


def _check_type(headers: Headers, wanted: str) -> None:
    # A page of another site cannot send these types without asking first (a preflight), which it is refused.
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_right = given.startswith(wanted) if wanted.endswith("/") else given == wanted
    if not is_right:
        kind = "image/jpeg, or of another format" if wanted.endswith("/") else wanted
        raise HttpError(415, "UnsupportedTypeError", f"The Content-Type is {given[:100]!a}; send {kind}.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpError(415, "UnsupportedTypeError", "Send the body as it is, without a Content-Encoding.")


def _check_length(headers: Headers, most: int) -> None:
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > _MOST_DIGITS or int(length) > most):
        raise _too_large(most)


def _too_large(most: int) -> HttpError:
    return HttpError(413, "TooLargeError", f"The body may have {most:,} bytes.")


async def _body(headers: Headers, receive: Receive, most: int, seconds: float) -> bytes:
    _check_length(headers, most)
    try:
        async with asyncio.timeout(seconds):
            parts: list[bytes] = []
            size, more = 0, True
            while more:
                message: Message = await receive()
                if message["type"] == "http.disconnect":
                    raise HttpError(400, "UsageError", "The connection was closed before the body came.")
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                more = message.get("more_body", False)
            return b"".join(parts)
    except TimeoutError:
        raise HttpError(408, "TooSlowError", f"The body did not come within {seconds:g} seconds.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
