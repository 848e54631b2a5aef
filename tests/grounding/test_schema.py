"""A schema asks for what a photo can answer; anything else is refused with a sentence that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.grounding.llama.prompt import Prompt
from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA, parse_schema, read_schema
from vlm4rec_edge.items import Item


def _with(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXT = {"type": "string"}


def test_the_products_schema_has_five_required_bounded_texts_in_this_order() -> None:
    schema = parse_schema(PRODUCT_SCHEMA)
    assert [field.name for field in schema.fields] == ["kind", "colour", "pattern", "audience", "details"]
    assert all(
        field.required and not field.items and not field.choices and field.description for field in schema.fields
    )


def test_every_form_is_bounded_even_where_its_schema_is_not() -> None:
    schema = parse_schema(_with(style=TEXT, uses={"type": "array"}))
    style, uses = schema.fields
    assert style.length > 0
    assert uses.items > 0
    filled = {"style": "x" * style.length, "uses": ["x" * uses.length] * uses.items}
    assert len(json.dumps(filled)) <= schema.longest


def test_required_fields_come_first_and_the_others_keep_their_order() -> None:
    schema = parse_schema({**_with(a=TEXT, b=TEXT, c=TEXT, d=TEXT), "required": ["d", "b"]})
    assert [field.name for field in schema.fields] == ["b", "d", "a", "c"]


def test_a_schema_is_known_by_what_it_asks_for_and_not_by_how_it_is_written() -> None:
    short = parse_schema(_with(season={"type": "string", "enum": ["summer", "winter"]}, uses={"type": "array"}))
    long = parse_schema(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Mine",
            "additionalProperties": False,
            "required": [],
            **_with(
                season={"description": "When?", "enum": ["summer", "winter"], "type": "string"},
                uses={"items": {"type": "string"}, "type": "array"},
            ),
        }
    )
    assert short.document == long.document
    assert parse_schema(short.document) == short
    Draft202012Validator.check_schema(short.document)


def test_the_question_names_every_field_and_is_a_prompt_without_placeholders() -> None:
    schema = parse_schema(
        _with(season={"type": "string", "enum": ["summer", "winter"]}, note={**TEXT, "description": "{x}"})
    )
    asked = Prompt(schema.question).fill(Item("1", Path("a.jpg")))
    assert "season (one of summer, winter)" in asked
    assert "note ({x})" in asked


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "does not describe an object"),
        ({"type": "array", "items": TEXT}, "does not describe an object"),
        ({"type": "object"}, "1 to 24 fields"),
        (_with(), "1 to 24 fields"),
        (_with(**{f"f{number}": TEXT for number in range(25)}), "1 to 24 fields"),
        ({**_with(a=TEXT), "required": ["b"]}, '"required" is a list of names'),
        ({**_with(a=TEXT), "additionalProperties": True}, '"additionalProperties" can only be false'),
        ({**_with(a=TEXT), "$defs": {}}, r'"\$defs" is not supported'),
        (_with(Colour=TEXT), "field 'Colour': a name is lower-case"),
        (_with(**{"two words": TEXT}), "a name is lower-case"),
        (_with(a="string"), "field 'a': \"type\" is"),
        (_with(a={"type": "number"}), "no other type is supported"),
        (_with(a={"type": "object", "properties": {}}), "no other type is supported"),
        (_with(a={"type": ["string", "null"]}), "no other type is supported"),
        (_with(a={**TEXT, "pattern": "^a$"}), "field 'a': \"pattern\" is not supported"),
        (_with(a={**TEXT, "minLength": 3}), '"minLength" is not supported'),
        (_with(a={**TEXT, "maxLength": 0}), '"maxLength" is a whole number from 1 to 400'),
        (_with(a={**TEXT, "maxLength": 5000}), "from 1 to 400"),
        (_with(a={**TEXT, "maxLength": True}), "from 1 to 400"),
        (_with(a={**TEXT, "description": 7}), '"description" is a text'),
        (_with(a={**TEXT, "enum": []}), '"enum" is a list of 1 to 64 texts'),
        (_with(a={**TEXT, "enum": [1]}), "1 cannot be a choice"),
        (_with(a={**TEXT, "enum": [""]}), "cannot be a choice"),
        (_with(a={**TEXT, "enum": ['7" wide']}), "without quotation marks"),
        (_with(a={**TEXT, "enum": ["a\\b"]}), "backslashes"),
        (_with(a={**TEXT, "enum": ["coat 🧥"]}), "emoji"),
        (_with(a={"type": "array", "items": {"type": "array"}}), "a list holds texts and nothing else"),
        (_with(a={"type": "array", "maxItems": 99}), '"maxItems" is a whole number from 1 to 16'),
        (_with(a={"type": "array", "minItems": 1}), '"minItems" is not supported'),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_a_sentence(document: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_schema(document)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_schema_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "form.json"
    with pytest.raises(UsageError, match=r"form\.json cannot be read"):
        read_schema(path)
    for content, sentence in {
        b"\xff": "is not JSON",
        b"{": "is not JSON",
        b"[" * 60_000: "is not JSON",
        b" " * 100_000: "is larger than",
        b'{"type": "string"}': "does not describe an object",
    }.items():
        path.write_bytes(content)
        with pytest.raises(UsageError, match=rf"The schema .*form\.json.* {sentence}"):
            read_schema(path)
    path.write_text(json.dumps(PRODUCT_SCHEMA), encoding="utf-8")
    assert read_schema(path) == parse_schema(PRODUCT_SCHEMA)
