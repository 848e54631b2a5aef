"""One photo from the web into a file: bounded in size and time, tried again where that helps, and continued."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from vlm4rec_edge.catalog.photo import MAX_FILE_BYTES
from vlm4rec_edge.catalog.web.addresses import RefusedError, Target, connection_to, redirected, target_of

_TRIES = 4
_REDIRECTS = 5
# A busy server says how long to wait; longer than this, the run goes on without the photo.
_LONGEST_WAIT = 60.0
# One that sends a byte now and then must not hold a run for ever.
_LONGEST_TRANSFER = 600.0
_CHUNK = 1 << 16
_SENDS_ON = {301, 302, 303, 307, 308}
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_REASONS = {401: "asks for a password", 403: "refuses it", 404: "has no such photo", 410: "has no such photo any more"}


class FetchError(Exception):
    """A photo that could not be fetched; the text is a sentence."""


class _AgainError(Exception):
    """A fault that may pass, as a sentence, and how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Terms:
    """How photos are fetched.

    Attributes:
        agent: The user agent that servers see.
        allow_private: Whether hosts of this machine and of private networks are asked.
        timeout: Seconds without an answer after which a try ends.
        max_bytes: A larger photo is not fetched.
        pause: Waits so many seconds; stops the transfer by an exception of its own.
    """

    agent: str
    allow_private: bool = False
    timeout: float = 20.0
    max_bytes: int = MAX_FILE_BYTES
    pause: Callable[[float], None] = time.sleep


def fetch_to(address: str, path: Path, terms: Terms) -> None:
    """Bring the photo at ``address`` to ``path``, whole or not at all.

    What a broken transfer leaves is ``path`` with ``.part``; where the server's validator (RFC 9110, 8.8) is still the same,
    the next try asks only for the rest.

    Raises:
        FetchError: it cannot be had.
        OSError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for number in range(_TRIES):
        try:
            _try_once(target_of(address), part, terms)
        except RefusedError as error:
            raise FetchError(str(error)) from None
        except FetchError:  # it will not be asked for again
            part.unlink(missing_ok=True)
            _note_of(part).unlink(missing_ok=True)
            raise
        except _AgainError as error:
            wait = _pause_before(number) if error.wait is None else error.wait
            if number == _TRIES - 1 or wait > _LONGEST_WAIT:
                asked = f" It asks to wait {error.wait:.0f} s." if error.wait else ""
                raise FetchError(f"{error}{asked}") from None
            terms.pause(wait)
        else:
            part.replace(path)
            _note_of(part).unlink(missing_ok=True)
            return


def _pause_before(number: int) -> float:
    """Return how many seconds pass between a try, counted from 0, and the next: twice as many each time."""
    return 2.0**number


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _try_once(target: Target, part: Path, terms: Terms) -> None:
    have, validator = _left(part)
    headers = {"User-Agent": terms.agent, "Accept": "image/*", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    source = target
    for _ in range(_REDIRECTS + 1):
        with closing(connection_to(target, allow_private=terms.allow_private, timeout=terms.timeout)) as connection:
            try:
                connection.request("GET", target.path, headers=headers)
                answer = connection.getresponse()
                if answer.status not in _SENDS_ON:
                    _take(answer, part, source, terms, have)
                    return
                target = redirected(target, answer.headers.get("Location") or "")
            except (OSError, HTTPException) as error:
                if isinstance(error, OSError) and error.filename is not None:  # a file of this machine
                    raise
                said = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise _AgainError(f"{source.address} cannot be fetched: {said}.") from error
    raise FetchError(f"{source.address} redirects more than {_REDIRECTS} times.")


def _left(part: Path) -> tuple[int, str]:
    """Return how many bytes a broken transfer left, and by what the server knows what they are of; 0 if it is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        validator = str(json.loads(_note_of(part).read_text(encoding="utf-8"))["validator"])
        if size := part.stat().st_size:
            return size, validator
    return 0, ""


def _validator(headers: Message) -> str:
    etag = headers.get("ETag") or ""
    return headers.get("Last-Modified") or "" if not etag or etag.startswith("W/") else etag


def _take(answer: HTTPResponse, part: Path, source: Target, terms: Terms, have: int) -> None:
    address, status = source.address, answer.status
    if status == 416 and have:  # what is there is not the beginning of what the server has now
        _note_of(part).unlink(missing_ok=True)
        raise _AgainError(f"{address} changed while it was downloaded.", 0.0)
    if status in _WORTH_ANOTHER_TRY:
        raise _AgainError(f"{address} cannot be fetched: {source.host} answers {status}.", _wait(answer))
    if status not in {200, 206}:
        raise FetchError(f"{address} cannot be fetched: {source.host} {_REASONS.get(status, f'answers {status}')}.")
    kind = answer.headers.get_content_type()
    if kind.startswith("text/") and answer.headers.get("Content-Type"):
        raise FetchError(f"{address} is not a photo; {source.host} sends {kind}.")
    if status == 206 and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        _note_of(part).unlink(missing_ok=True)
        raise _AgainError(f"{source.host} sends another part of {address} than was requested.", 0.0)
    start = have if status == 206 else 0
    if (total := start + (answer.length or 0)) > terms.max_bytes:
        raise FetchError(
            f"{address} has {total / 1e6:.0f} MB, more than the {terms.max_bytes / 1e6:.0f} MB a photo may have."
        )
    _note_of(part).unlink(missing_ok=True)
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        if validator := _validator(answer.headers):
            _note_of(part).write_text(json.dumps({"validator": validator}), encoding="utf-8")
        _copy(answer, stream, address, terms, start)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())


def _copy(answer: HTTPResponse, stream: BinaryIO, address: str, terms: Terms, size: int) -> None:
    ends = time.monotonic() + _LONGEST_TRANSFER
    expected = None if answer.length is None else size + answer.length
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > terms.max_bytes:
            raise FetchError(f"{address} has more than the {terms.max_bytes / 1e6:.0f} MB a photo may have.")
        stream.write(chunk)
        terms.pause(0)  # here a run that was stopped ends
        if time.monotonic() > ends:
            raise _AgainError(f"{address} took longer than {_LONGEST_TRANSFER / 60:.0f} minutes.")
    if expected is not None and size < expected:
        raise _AgainError(f"{address} broke off after {size:,} of {expected:,} bytes.")
    if not size:
        raise FetchError(f"{address} is empty (0 bytes).")


def _wait(answer: HTTPResponse) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110, 10.2.3), as a number or as a date."""
    asked = (answer.headers.get("Retry-After") or "").strip()
    if asked.isdecimal():
        return float(asked)
    with suppress(TypeError, ValueError):
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    return None
