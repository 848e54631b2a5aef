"""What can go wrong between this machine and the hub, as sentences."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from vlm4rec_edge.errors import ModelError, Vlm4RecWarning
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.registry import ModelEntry

_Answer = TypeVar("_Answer")
# A hub that asks for a longer wait is asked again by the user, and so is one that asks again and again.
_LONGEST_WAIT_SECONDS, _WAITS = 600.0, 3
_WAIT_WITHOUT_WORD_SECONDS = 10.0
_TOO_MANY = 429
_YOURSELF = "upgrade vlm4rec-edge, or fetch the files yourself and give their folder"


@contextmanager
def sentences(entry: ModelEntry) -> Iterator[None]:
    """Turn what huggingface_hub, its HTTP library and the disk raise into a ``ModelError`` to act on."""
    try:
        yield
    except Exception as error:
        sentence = _hub_sentence(entry, error) or _disk_sentence(entry, error) or _network_sentence(entry, error)
        if sentence is None:
            raise
        raise ModelError(sentence) from error


def patiently(ask: Callable[[], _Answer]) -> _Answer:
    """Return what ``ask`` does; where the hub answers 429, wait as long as it says (``Retry-After``) and ask again.

    Source: RFC 9110, section 10.2.3. A wait is reported by a ``Vlm4RecWarning``.
    """
    for _ in range(_WAITS):
        try:
            return ask()
        except Exception as error:
            seconds = _seconds_to_wait(error)
            if _status(error) != _TOO_MANY or seconds > _LONGEST_WAIT_SECONDS:
                raise
        warnings.warn(
            f"The hub limits the rate of requests; it is asked again in {seconds:.0f} s.", Vlm4RecWarning, stacklevel=2
        )
        time.sleep(seconds)
    return ask()


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _seconds_to_wait(error: Exception) -> float:
    """Return what ``Retry-After`` says, a number of seconds or a date."""
    text = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return _WAIT_WITHOUT_WORD_SECONDS
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _again(entry: ModelEntry) -> str:
    return f"run again: vlm4rec-edge models pull {entry.name} (it continues where it stopped)"


def _hub_sentence(entry: ModelEntry, error: Exception) -> str | None:
    # By name: where these classes stand in the tree of exceptions changed between the versions of
    # huggingface_hub.
    names = {kind.__name__ for kind in type(error).__mro__}
    where = f"{entry.repository} at {entry.revision}"
    status = _status(error)
    mirror = os.environ.get("HF_ENDPOINT", "")
    asked = f"The mirror {mirror} (HF_ENDPOINT)" if mirror else "The hub"
    token = (
        "set HF_TOKEN to an access token of yours, and for a gated model accept its license first, on "
        f"https://huggingface.co/{entry.repository}"
    )
    if "GatedRepoError" in names or (status in (401, 403) and "RepositoryNotFoundError" not in names):
        return f"{asked} does not give public access to {where} ({status or 'gated'}); {token}."
    if names & {"RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError"} or status == 404:
        files = ", ".join(file.name for file in entry.files.values())
        private = f"if it is private, {token}; else " if status == 401 else ""
        other = "unset HF_ENDPOINT to ask the hub itself, or " if mirror else ""
        return (
            f"{asked} does not have all of {files} in {where} ({status or 'not found'}); {private}{other}{_YOURSELF}."
        )
    if status == _TOO_MANY:
        minutes = math.ceil(_seconds_to_wait(error) / 60)
        return (
            f"{asked} limits the rate of requests from here; wait {minutes} min, or set HF_TOKEN, then {_again(entry)}."
        )
    if status is not None:
        return f"The hub answered {status} for {where}; later, {_again(entry)}."
    return None


def _disk_sentence(entry: ModelEntry, error: Exception) -> str | None:
    code = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    if code in ("ENOSPC", "EDQUOT"):
        return f"The disk of {models_home()} is full; make room, then {_again(entry)}."
    if isinstance(error, OSError) and error.filename is not None:  # an error of a connection names no file
        reason = error.strerror or error
        return f"{error.filename} cannot be written ({reason}); set VLM4REC_EDGE_HOME to a folder that can."
    return None


def _network_sentence(entry: ModelEntry, error: Exception) -> str | None:
    if not isinstance(error, _network_errors()):
        return None
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return (
        f"{entry.name} could not be fetched from {entry.repository} ({reason}); "
        f"check the network, then {_again(entry)}."
    )


def _network_errors() -> tuple[type[BaseException], ...]:
    # huggingface_hub spoke through requests, then httpx, then httpx2; only the one it imported is loaded.
    found: list[type[BaseException]] = [OSError]
    for module, name in (("requests", "RequestException"), ("httpx", "HTTPError"), ("httpx2", "HTTPError")):
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            found.append(kind)
    return tuple(found)
