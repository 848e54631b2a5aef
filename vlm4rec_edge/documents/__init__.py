"""The documents that the commands print with ``--json``; a JSON Schema of each lies beside this file.

A field may be added to a document, none is renamed or removed. Source: https://json-schema.org/draft/2020-12/schema
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

# Command to the documents that it prints; every command prints ``error`` where it cannot do what was asked.
PRINTED: Mapping[str, tuple[str, ...]] = {
    "index": ("index",),
    "recommend": ("recommendations", "batch"),
    "similar": ("recommendations",),
    "search": ("recommendations",),
    "caption": ("captions",),
    "info": ("info",),
    "items": ("items",),
    "serve": ("serve",),
    "evaluate": ("evaluation",),
    "learn": ("learning", "forgotten"),
    "add": ("index",),
    "remove": ("remove",),
    "verify": ("verify",),
    "repair": ("repair",),
    "bundle": ("bundle",),
    "patch": ("patch",),
    "export": ("export",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "models list": ("models-list",),
    "models pull": ("models-pull",),
    "models verify": ("models-verify",),
    "models path": ("models-path",),
    "shard plan": ("shard-plan",),
    "shard run": ("shard-run",),
    "shard status": ("shard-status",),
    "shard merge": ("shard-merge",),
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document, by a name of ``PRINTED`` or ``error``."""
    text = resources.files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def components(*names: str, at: str) -> dict[str, dict[str, Any]]:
    """Return documents and their parts side by side, by title, as OpenAPI wants them.

    Args:
        names: Of the documents.
        at: Where they will stand, before their titles: ``#/components/schemas/``.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        document = json.loads(json.dumps(schema(name)).replace("#/$defs/", at))
        found.update(document.pop("$defs", {}))
        found[document["title"]] = {key: value for key, value in document.items() if key != "$schema"}
    return found
