"""JSON Schemas of the answers' documents. A document may hold more than its schema describes; fields are only ever added."""

from __future__ import annotations

from typing import Any

from vlm4rec_edge.documents import components

_TEXT, _WHOLE, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
_TEXTS = {"type": "array", "items": _TEXT}
_ANY_OBJECT = {"type": "object"}
_NUMBER_OR_NONE = {"type": ["number", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


# What commands print as well, and what only the server answers.
SCHEMAS: dict[str, dict[str, Any]] = {
    **components("error", "info", "items", "recommendations", at="#/components/schemas/"),
    "State": _object(
        index=_TEXT,
        name=_TEXT,
        generation=_TEXT,
        writer=_TEXT,
        run=_WHOLE,
        items=_WHOLE,
        left_out=_WHOLE,
        failures=_list(_object(where=_TEXT, stage=_TEXT, reason=_TEXT)),
        problem=_TEXT,
        representations=_TEXTS,
        photos=_FLAG,
        captioner=_FLAG,
        version=_TEXT,
    ),
    "Columns": _object(
        columns=_list(
            _object(
                name=_TEXT,
                distinct=_WHOLE,
                missing=_WHOLE,
                values=_list(_object(value=_TEXT, items=_WHOLE)),
                least=_NUMBER_OR_NONE,
                most=_NUMBER_OR_NONE,
            )
        )
    ),
    "Session": _object(signed_in=_FLAG),
    "Health": _object(ok=_FLAG),
    "OpenAPI": _object(openapi=_TEXT, info=_ANY_OBJECT, paths=_ANY_OBJECT, components=_ANY_OBJECT),
}
