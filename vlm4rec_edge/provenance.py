"""The fingerprint of what made a caption or a vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vlm4rec_edge.errors import ModelError, Vlm4RecError


class MadeBy(NamedTuple):
    """What made captions or vectors: its fingerprint and, for people and for making more, its identity."""

    fingerprint: str
    identity: Mapping[str, Any]


def made_by(model: object, attribute: str = "identity") -> MadeBy:
    """Return what a store notes of a captioner or an encoder, as ``attribute`` returns it.

    Raises:
        ModelError: it has no identity, or one that no store can hold: without a name, not of JSON, or not always the same.
    """
    first, second = _identity(model, attribute), _identity(model, attribute)
    if fingerprint(first) != fingerprint(second):
        raise ModelError(f"The identity of {_kind(model)} changes from one call to the next; it must stay the same.")
    return MadeBy(fingerprint(first), first)


def photo_vectors_by(captioner: object) -> MadeBy | None:
    """Return what makes the vectors of photos; None where a captioner gives none.

    Raises:
        ModelError: as ``made_by``.
    """
    gives = getattr(captioner, "vector_identity", None) is not None
    return made_by(captioner, "vector_identity") if gives else None


def _identity(model: object, attribute: str) -> dict[str, Any]:
    """Return an identity as JSON gives it back, because its fingerprint is compared with that of the stored one."""
    try:
        identity = getattr(model, attribute, None)
    except Vlm4RecError:
        raise
    except Exception as error:
        raise ModelError(f"{_kind(model)} cannot return its identity: {type(error).__name__}: {error}.") from error
    if not isinstance(identity, Mapping):
        raise ModelError(
            f"{_kind(model)} is neither a captioner nor an encoder: it has no identity, which is a JSON object. By a name, "
            "open_captioner and open_encoder find one."
        )
    try:
        text = json.dumps(dict(identity), allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise ModelError(f"The identity of {_kind(model)} is not a JSON object: {error}.") from None
    known: dict[str, Any] = json.loads(text)
    if not isinstance(known.get("name"), str):
        raise ModelError(f"The identity of {_kind(model)} has no name, a text by which it is found again.")
    return known


def _kind(model: object) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


def fingerprint(provenance: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of a provenance, its ``name`` left out: a renamed model still makes the same output."""
    decisive = {key: value for key, value in provenance.items() if key != "name"}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def is_provenance(key: str, text: str) -> bool:
    """Whether ``text`` is the JSON of the provenance whose fingerprint is ``key``."""
    try:
        return fingerprint(json.loads(text)) == key
    except (ValueError, AttributeError, TypeError):
        return False
