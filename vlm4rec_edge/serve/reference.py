"""The reference of the API as a page that needs nothing beside it but our style."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from urllib.parse import quote, urlencode

from vlm4rec_edge import __version__
from vlm4rec_edge.serve.answers import SCHEMAS
from vlm4rec_edge.serve.errors import MEANINGS
from vlm4rec_edge.serve.fields import Field
from vlm4rec_edge.serve.openapi import example_of
from vlm4rec_edge.serve.operations import OPERATIONS, Operation


def reference_page(ids: Sequence[str], address: str) -> str:
    """Return the page as HTML.

    Args:
        ids: Of two items of the index, for the examples.
        address: Where the server is, for the examples: ``http://127.0.0.1:8000``.
    """
    entries = "".join(
        f'<li><a href="#{one.name}"><b>{one.method}</b> {escape(one.path)}</a></li>' for one in OPERATIONS
    )
    errors = "".join(f"<tr><td>{code}</td><td>{escape(text)}</td></tr>" for code, text in MEANINGS.items())
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<title>API reference, vlm4rec-edge</title><link rel="icon" href="page/icon.svg">',
        '<link rel="stylesheet" href="page/tokens.css"><link rel="stylesheet" href="page/reference.css"></head><body>',
        '<a class="skip" href="#operations">To the operations</a>',
        '<header><p class="brand"><a href="./">vlm4rec-edge</a></p><h1>API reference</h1>',
        "<p>Answers are the documents that the commands print with <code>--json</code>, errors are ",
        "<code>{&quot;error&quot;: {&quot;kind&quot;, &quot;message&quot;}}</code>. In a path an item id is one segment, ",
        "percent-encoded as UTF-8: a slash in it is <code>%2F</code>. Answers to GET carry an <code>ETag</code>, which is ",
        "another one after every change of the index. Programs read the same as ",
        f'<a href="openapi.json">openapi.json</a> (OpenAPI 3.1). Version {escape(__version__)}.</p></header>',
        f'<nav aria-label="Operations"><ul>{entries}</ul></nav><main id="operations">',
        *(_operation(operation, ids, address) for operation in OPERATIONS),
        f'<section id="errors"><h2>Errors</h2><table><thead><tr><th scope="col">Status</th><th scope="col">Means</th></tr>'
        f"</thead><tbody>{errors}</tbody></table></section>",
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _operation(operation: Operation, ids: Sequence[str], address: str) -> str:
    fields = [*operation.query, *(operation.body or ())]
    rows = "".join(map(_row, fields))
    table = (
        '<table><thead><tr><th scope="col">Field</th><th scope="col">Holds</th><th scope="col">What for</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        if fields
        else ""
    )
    answer = operation.answer
    if answer in SCHEMAS and "properties" in SCHEMAS[answer]:
        answer = f"{answer}: {', '.join(SCHEMAS[answer]['properties'])}"
    return (
        f'<section id="{operation.name}"><h2><b>{operation.method}</b> <code>{escape(operation.path)}</code></h2>'
        f"<p>{escape(operation.says)}</p><pre><code>{escape(_command(operation, ids, address))}</code></pre>{table}"
        f"<p><b>Answers with</b> {escape(answer)}.</p></section>"
    )


def _row(field: Field) -> str:
    needed = " <em>needed</em>" if field.required else ""
    kind = escape(kind_of(field))
    return f"<tr><td><code>{escape(field.name)}</code>{needed}</td><td>{kind}</td><td>{escape(field.says)}</td></tr>"


def kind_of(field: Field) -> str:
    """Return in words what a field holds, and what it is by default."""
    schema = field.schema()
    of = schema.get("items", schema)
    kind = " or ".join(one["type"] for one in of.get("anyOf", [of]))
    kind = f"list of {kind}" if schema.get("type") == "array" else kind
    if words := of.get("enum"):
        kind = " or ".join(words)
    if "default" in schema and schema["default"] not in ([], False):
        kind += f", {json.dumps(schema['default'])} by default"
    return kind


def _command(operation: Operation, ids: Sequence[str], address: str) -> str:
    example = example_of(operation, ids)
    path = operation.path.replace("{id}", quote(ids[0], safe=""))
    if operation.body is not None:
        body = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
        return f"curl {address}{path} -H 'Content-Type: application/json' -d '{body}'"
    query = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in example.items()}
    place = f"{address}{path}" + (f"?{urlencode(query)}" if query else "")
    if operation.uploads:
        return f"curl '{place}' -H 'Content-Type: image/jpeg' --data-binary @photo.jpg"
    return f"curl '{place}'" if query else f"curl {place}"
