"""Of a structured answer nothing is lost that was said whole, nothing is added, and what comes of it fits the schema."""

from __future__ import annotations

import json

import pytest
from jsonschema import validate

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA, parse_schema
from vlm4rec_edge.grounding.structured import as_json, fields_of, flatten

SCHEMA = parse_schema(
    {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "maxLength": 30},
            "material": {"type": "array", "items": {"type": "string", "enum": ["cotton", "wool", "dark denim"]}},
            "uses": {"type": "array", "maxItems": 3},
            "season": {"type": "string", "enum": ["summer", "winter"]},
            "note": {"type": "string"},
        },
        "required": ["kind", "material", "uses"],
    }
)
ANSWER = (
    ' {"kind": "Caf\\u00e9 \\"coat\\" 🧥", "material":["cotton","dark denim"], "uses" : ["rain, wind", "a]b"], '
    '"season":"winter", "note": "With\\n two\\tpockets."}'
)
WHOLE = {
    "kind": 'Café "coat" 🧥',
    "material": ["cotton", "dark denim"],
    "uses": ["rain, wind", "a]b"],
    "season": "winter",
    "note": "With two pockets.",
}


def test_a_whole_answer_is_its_fields_as_plain_lines() -> None:
    assert fields_of(ANSWER, SCHEMA, cut_off=False) == WHOLE


def test_an_answer_cut_off_anywhere_is_valid_and_says_no_more_than_was_said() -> None:
    seen = set()
    for length in range(len(ANSWER)):
        fields = fields_of(ANSWER[:length], SCHEMA, cut_off=True)
        validate(fields, SCHEMA.document)
        assert json.loads(as_json(fields)) == fields
        for name, value in fields.items():
            if isinstance(value, list):
                assert value == WHOLE[name][: len(value)]
            else:
                assert str(WHOLE[name]).startswith(value)
        seen.add(as_json(fields))
    assert len(seen) > 8  # it says more and more


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        ('{"kind": "Dark blue co', "Dark blue"),
        ('{"kind": "Coat', "Coat"),
        ('{"kind": "Coat, ', "Coat"),
        ('{"kind": "A coat.', "A coat."),
        ('{"kind": "Coat \\u00e', "Coat"),
        ('{"kind": "Coat \\', "Coat"),
        ('{"kind": "', ""),
        ('{"kin', ""),
        ("", ""),
    ],
)
def test_a_text_that_is_cut_off_ends_with_a_whole_word(beginning: str, kind: str) -> None:
    assert fields_of(beginning, SCHEMA, cut_off=True) == {"kind": kind, "material": [], "uses": []}


def test_a_text_that_fills_its_bound_ends_with_a_whole_word() -> None:
    filled = "A very long coat with a hood and pockets"[:30]
    assert fields_of(json.dumps({"kind": filled}), SCHEMA, cut_off=False)["kind"] == "A very long coat with a hood"


def test_what_does_not_print_is_a_space_and_control_tokens_are_nothing() -> None:
    said = '{"note": "red\x1b[2J \x00coat \\ud83e <end_of_utterance> \u202e"}'
    note = fields_of(said, SCHEMA, cut_off=False)["note"]
    assert note == "red [2J coat"


def test_a_required_choice_that_was_not_reached_is_not_made_up() -> None:
    schema = parse_schema({**SCHEMA.document, "required": ["kind", "season"]})
    assert fields_of('{"kind":"a","season":"winter"', schema, cut_off=True)["season"] == "winter"
    for beginning in ("", '{"kind":"a"', '{"kind":"a","season":"wint'):
        with pytest.raises(PhotoError, match=r"ended before the field 'season'.*allow more tokens"):
            fields_of(beginning, schema, cut_off=True)


@pytest.mark.parametrize(
    "answer", ["", "nothing", "[]", '"kind"', "{}", '{"kind": 7}', '{"kind": {"kind": "a"}}', "null"]
)
def test_what_no_grammar_lets_through_is_an_empty_answer_and_no_error(answer: str) -> None:
    assert fields_of(answer, SCHEMA, cut_off=False) == {"kind": "", "material": [], "uses": []}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {
                "kind": "T-shirt",
                "colour": "dark blue",
                "pattern": "striped",
                "audience": "men",
                "details": "round neck",
            },
            "Dark blue striped T-shirt for men. Round neck.",
        ),
        (
            {"kind": "dress", "colour": "red", "pattern": "Solid", "audience": "", "details": "Long."},
            "Red dress. Long.",
        ),
        ({"kind": "dress"}, "Dress."),
        ({"kind": "", "colour": "red", "details": "long"}, "Colour: red. Details: long."),
        ({"kind": "coat", "suits_for": ["rain", "wind"], "style": ""}, "Coat. Suits for: rain, wind."),
        ({"style": "sporty", "use": []}, "Style: sporty."),
        ({"kind": "", "use": []}, ""),
    ],
)
def test_fields_become_sentences_in_one_way(fields: dict[str, str | list[str]], text: str) -> None:
    assert flatten(fields) == text


def test_an_empty_answer_is_valid_for_a_product() -> None:
    schema = parse_schema(PRODUCT_SCHEMA)
    validate(fields_of("", schema, cut_off=True), PRODUCT_SCHEMA)
