"""The fingerprint of what made a caption or a vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


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
