"""What can go wrong between this machine and the hub, as sentences."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.registry import ModelEntry

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


def _again(entry: ModelEntry) -> str:
    return f"run again: vlm4rec-edge models pull {entry.name} (it continues where it stopped)"


def _hub_sentence(entry: ModelEntry, error: Exception) -> str | None:
    # By name: where these classes stand in the tree of exceptions changed between the versions of
    # huggingface_hub.
    names = {kind.__name__ for kind in type(error).__mro__}
    where = f"{entry.repository} at {entry.revision}"
    if "GatedRepoError" in names:
        return f"{entry.repository} asks for an accepted licence; accept it on the hub and set HF_TOKEN."
    if names & {"RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError"}:
        files = ", ".join(file.name for file in entry.files.values())
        return f"The hub does not have all of {files} in {where} (not found); {_YOURSELF}."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"The hub answered {status} for {where}; later, {_again(entry)}."
    return None


def _disk_sentence(entry: ModelEntry, error: Exception) -> str | None:
    code = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    if code in ("ENOSPC", "EDQUOT"):
        return f"The disk of {models_home()} is full; make room, then {_again(entry)}."
    if code in ("EACCES", "EPERM", "EROFS"):
        return f"{models_home()} can not be written; set VLM4REC_EDGE_HOME to a folder that can."
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
