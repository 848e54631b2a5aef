"""The OpenAPI 3.1 document of the API (https://spec.openapis.org/oas/v3.1.0), written from the table of operations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vlm4rec_edge import __version__
from vlm4rec_edge.serve.answers import SCHEMAS
from vlm4rec_edge.serve.errors import MEANINGS
from vlm4rec_edge.serve.fields import Field
from vlm4rec_edge.serve.operations import OPERATIONS, Operation

_ABOUT = (
    "Recommending from product photos. The answers are the documents that the commands print with --json; errors are "
    '{"error": {"kind", "message"}}. In a path an item id is one segment, percent-encoded as UTF-8: a slash in it is %2F. '
    "Answers to GET carry an ETag, which is another one after every change of the index. Fields are only ever added."
)
_JSON = "application/json"


def openapi_document(ids: Sequence[str], *, token: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        ids: Of two items of the index, for the examples.
        token: Whether the server wants its token.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, ids, token=token)
    components: dict[str, Any] = {"schemas": SCHEMAS}
    security: dict[str, Any] = {}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        security = {"security": [{"token": []}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "vlm4rec-edge", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": components,
        **security,
    }


def example_of(operation: Operation, ids: Sequence[str]) -> dict[str, Any]:
    """Return the example of an operation, with the ids of an index in it."""
    text = json.dumps(operation.example)
    for mark, item in zip(("{id}", "{other}"), ids, strict=True):
        text = text.replace(json.dumps(mark), json.dumps(item))
    return dict(json.loads(text))


def _operation(operation: Operation, ids: Sequence[str], *, token: bool) -> dict[str, Any]:
    example = example_of(operation, ids)
    parameters = [_parameter(field, "query", example) for field in operation.query]
    if "{id}" in operation.path:
        told = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        parameters.insert(0, {**told, "description": "The id of an item.", "example": ids[0]})
    found: dict[str, Any] = {"operationId": operation.name, "summary": operation.says}
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        content = {"schema": _body_schema(operation.body), "example": example}
        found["requestBody"] = {"required": True, "content": {_JSON: content}}
    if operation.uploads:
        photo = {"schema": {"type": "string", "contentEncoding": "binary"}}
        found["requestBody"] = {"required": True, "content": {"image/*": photo}}
    if token and operation.open:
        found["security"] = []
    found["responses"] = {"200": _answer(operation), **{str(code): _error(code) for code in _codes(operation, token)}}
    return found


def _parameter(field: Field, place: str, example: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"name": field.name, "in": place, "description": field.says, "schema": field.schema()}
    if field.required:
        told["required"] = True
    if field.name in example:
        told["example"] = example[field.name]
    return told


def _body_schema(fields: Sequence[Field]) -> dict[str, Any]:
    properties = {field.name: {**field.schema(), "description": field.says} for field in fields}
    required = [field.name for field in fields if field.required]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.answer in SCHEMAS:
        content: dict[str, Any] = {_JSON: {"schema": {"$ref": f"#/components/schemas/{operation.answer}"}}}
    else:
        content = {operation.answer: {"schema": {"type": "string", "contentEncoding": "binary"}}}
    return {"description": "The answer.", "content": content}


def _error(code: int) -> dict[str, Any]:
    return {
        "description": MEANINGS[code],
        "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _codes(operation: Operation, token: bool) -> list[int]:
    """Return the statuses of the errors that an operation may end with."""
    codes = {403} if operation.name == "health" else {400, 403, 429, 500, 503}
    if "{id}" in operation.path or operation.body:
        codes.add(404)
    if operation.query or operation.path.endswith("photo"):
        codes.add(414)
    if operation.body is not None or operation.uploads:
        codes |= {408, 413, 415}
    if operation.uploads:
        codes.add(422)
    if operation.name in ("search", "recommend", "photo", "similar_photo"):
        codes.add(501)
    if token and (not operation.open or operation.name == "session"):
        codes.add(401)
    return sorted(codes)
