"""The OpenAPI document is made of what reads the requests: its examples work, and its schemas hold for the answers."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from starlette.testclient import TestClient

from vlm4rec_edge.serve.endpoints import Endpoints
from vlm4rec_edge.serve.errors import MEANINGS
from vlm4rec_edge.serve.operations import OPERATIONS

NAMES = [operation.name for operation in OPERATIONS]


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    """The document as it is served."""
    return dict(client.get("/openapi.json").json())


def _operations(document: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        told["operationId"]: (method, path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    }


def _validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_of_openapi_3_1_and_holds_every_operation(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert sorted(_operations(document)) == sorted(NAMES)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_answered_as_the_document_says(client: TestClient, document: dict[str, Any], name: str) -> None:
    method, path, told = _operations(document)[name]
    parameters = told.get("parameters", ())
    given = {one["name"]: one["example"] for one in parameters if "example" in one}
    for one in parameters:
        Draft202012Validator.check_schema(one["schema"])
        if one["name"] in given:
            Draft202012Validator(one["schema"]).validate(given[one["name"]])
    address = path.replace("{id}", quote(given.pop("id", ""), safe=""))
    query = {key: json.dumps(value) if isinstance(value, bool) else value for key, value in given.items()}
    content = told.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = content["application/json"]
        Draft202012Validator(body["schema"]).validate(body["example"])
        answer = client.request(method, address, params=query, json=body["example"])
    elif content:
        answer = client.request(method, address, params=query, content=b"x", headers={"content-type": "image/png"})
        assert answer.status_code == 501, "the example server was not started with --captioner"
    else:
        answer = client.request(method, address, params=query)
    if name == "search":
        assert answer.status_code == 501, "the made index names no encoder of this machine"
    response = told["responses"][str(answer.status_code)]
    ((media_type, means),) = response["content"].items()
    assert answer.headers["content-type"] == media_type
    if media_type == "application/json":
        _validator(document, means["schema"]).validate(answer.json())
    else:
        assert Image.open(io.BytesIO(answer.content)).format == "JPEG"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_has_its_function_and_a_sentence(operation: Any) -> None:
    if operation.name not in ("health", "session", "openapi"):
        assert callable(getattr(Endpoints, operation.name))
    for says in (operation.says, *(field.says for field in (*operation.query, *(operation.body or ())))):
        assert says[0].isupper()
        assert says.endswith((".", "!"))


def test_every_field_of_recommend_in_python_is_one_of_the_api() -> None:
    from dataclasses import fields
    from inspect import signature

    from vlm4rec_edge import ProfileSettings, Recommender, Selection

    of_python = {*signature(Recommender.recommend).parameters, *(one.name for one in fields(ProfileSettings))}
    of_python |= {one.name for one in fields(Selection)}
    of_python -= {"self", "settings", "selection", "encoder", "skip_unknown", "exclude_history"}
    (operation,) = (one for one in OPERATIONS if one.name == "recommend")
    assert {field.name for field in operation.body or ()} == of_python | {"include_history", "representation"}


class _Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in ("href", "src")]


def test_the_reference_shows_every_operation_and_needs_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/reference")
    assert answer.headers["content-type"].startswith("text/html")
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in answer.text
    links = _Links()
    links.feed(answer.text)
    assert "script" not in links.tags
    for link in links.found:
        assert not re.match(r"[a-z]+:|//", link), link
        if not link.startswith("#"):
            assert client.get(f"/{link}").status_code == 200, link


def test_the_commands_of_the_reference_are_of_this_server(client: TestClient) -> None:
    text = client.get("/reference").text
    assert text.count("curl ") == len(OPERATIONS)
    assert "http://127.0.0.1:8000/v1/recommend" in text


def test_every_status_has_a_meaning() -> None:
    assert all(400 <= code < 600 and text.endswith(".") for code, text in MEANINGS.items())
