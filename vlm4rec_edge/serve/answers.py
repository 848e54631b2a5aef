"""JSON Schemas of the answers' documents. A document may hold more than its schema describes; fields are only ever added."""

from __future__ import annotations

from typing import Any

_TEXT, _WHOLE, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
_TEXTS = {"type": "array", "items": _TEXT}
_ANY_OBJECT = {"type": "object"}
_NUMBER_OR_NONE, _TEXT_OR_NONE = {"type": ["number", "null"]}, {"type": ["string", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_PHOTOS = _list(_object(image=_TEXT, caption=_TEXT, fields=_ANY_OBJECT))
_ATTRIBUTES = {"type": "object", "additionalProperties": _TEXT}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Error": _object(error=_object(kind=_TEXT, message=_TEXT)),
    "Info": _object(
        index=_TEXT,
        items=_WHOLE,
        captions=_WHOLE,
        vectors=_WHOLE,
        failures=_WHOLE,
        dimensions=_WHOLE,
        bytes=_WHOLE,
        method=_TEXT,
        encoded_text=_TEXT,
        run=_WHOLE,
        grounding=_ANY_OBJECT,
        encoder=_ANY_OBJECT,
        caption_fields=_TEXTS,
        learned=_ANY_OBJECT,
    ),
    "State": _object(
        index=_TEXT,
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
    "Item": _object(id=_TEXT, title=_TEXT, caption=_TEXT, image=_TEXT, attributes=_ATTRIBUTES, photos=_PHOTOS),
    "ItemPage": _object(
        index=_TEXT, total=_WHOLE, items=_list(_named("Item")), next_after=_TEXT_OR_NONE, unknown=_TEXTS
    ),
    "Reason": _object(
        source=_TEXT,
        kind={"type": "string", "enum": ["liked", "disliked", "text"]},
        amount=_NUMBER,
        words=_TEXTS,
        parts={"type": "object", "additionalProperties": _NUMBER},
    ),
    "Recommendation": _object(
        rank=_WHOLE,
        item_id=_TEXT,
        score=_NUMBER,
        title=_TEXT,
        caption=_TEXT,
        image=_TEXT,
        attributes=_ATTRIBUTES,
        basis=_TEXT,
        because=_list(_named("Reason")),
        interest=_WHOLE,
        photos=_PHOTOS,
        why=_TEXT,
    ),
    "Recommendations": _object(
        index=_TEXT,
        method=_TEXT,
        query=_ANY_OBJECT,
        answered_by=_TEXT_OR_NONE,
        unknown=_TEXTS,
        recommendations=_list(_named("Recommendation")),
    ),
    "Session": _object(signed_in=_FLAG),
    "Health": _object(ok=_FLAG),
    "OpenAPI": _object(openapi=_TEXT, info=_ANY_OBJECT, paths=_ANY_OBJECT, components=_ANY_OBJECT),
}
